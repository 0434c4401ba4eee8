package import Coordination

extension CoordinationServer: TailnetService {}
