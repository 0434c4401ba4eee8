/// Every route that this version serves.
package struct APIRouter: Sendable {
    /// The routes; `openapi/warren.yaml` lists the same.
    package let routes: [APIRoute]

    /// Collects the routes of all parts of the API.
    package init(services: APIServices) {
        routes =
            VMRoutes(services: services).routes + NetworkRoutes(services: services).routes
            + GuestRoutes(services: services).routes
            + EventRoutes(services: services).routes + TailnetRoutes(services: services).routes
            + ServiceRoutes(services: services).routes
    }
}
