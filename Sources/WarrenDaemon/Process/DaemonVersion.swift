/// The version of the product.
package enum DaemonVersion {
    /// As `warrend --version` prints it.
    package static let text = "0.1.0"
}
