import Engine

public enum ProgramRun {
  public struct Options {
    public var memory: UInt64 = 512 << 20
    public var cacheModel = CacheModel.coherent
    public var limit: UInt64?
    public var root: String?
    public var environment: [String] = []
    public var seed: UInt64 = 0
    public init() {}
  }
  public static func run(_ program: [String], _ options: Options) -> RunReport {
    RunReport(status: 125, "not yet")
  }
}
