import GuestKernel

/// A world in which nothing happens, always the same: for self tests and benchmarks.
public final class SilentHost: HostServices {
  /// Nothing to be read, nothing written, no files.
  public init() {}
  /// Nobody types.
  public func consoleRead(_ count: Int) -> ConsoleInput { .end }
  /// What is printed is lost.
  public func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? { nil }
  /// Sevens.
  public func randomBytes(_ count: Int) -> [UInt8] { Array(repeating: 7, count: max(count, 0)) }
  /// 14 November 2023.
  public var startOfRun: UInt64 { 1_700_000_000_000_000_000 }
  /// Nothing is there.
  public func hostStat(_ path: String) -> HostNode? { nil }
  /// Nothing is there.
  public func hostList(_ path: String) -> [String]? { nil }
  /// Nothing is there.
  public func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? { nil }
}
