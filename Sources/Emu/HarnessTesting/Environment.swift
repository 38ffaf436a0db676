#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// What the environment says.
enum Environment {
  /// The one seed to run.
  static let seed: String? = variable("EMU_SEED")
  /// Where files go that nobody keeps.
  static let temporary: String = variable("TMPDIR") ?? "/tmp"
  /// The number of this process.
  static let process: Int32 = getpid()
  /// Where failures leave their traces besides attaching them.
  static let traces: String? = variable("EMU_TRACES")

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}
