#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// What a run leaves to be said: the process's exit status, lines for stderr, and figures.
public struct RunReport: Sendable {
  /// The exit status.
  public var status: Int32
  /// Lines for stderr, without a newline.
  public var messages: [String] = []
  /// Figures, several lines; `nil` where nothing ran.
  public var statistics: String?

  /// A report with a status and perhaps a line.
  public init(status: Int32, _ messages: String...) {
    self.status = status
    self.messages = messages
  }

  /// Statuses that are emu's own.
  public enum Status {
    /// Wrong usage, or a probe that is refused: nothing ran.
    public static let usage: Int32 = 64
    /// The limit of instructions was reached.
    public static let limit: Int32 = 124
    /// emu failed, or the guest can't go on.
    public static let failure: Int32 = 125
    /// The program can't be executed.
    public static let notExecutable: Int32 = 126
    /// There is no such program.
    public static let notFound: Int32 = 127
    /// The user interrupted the run.
    public static let interrupted: Int32 = 130
  }
}

/// Writes a line to standard error.
public func printError(_ line: String) {
  var bytes = Array(line.utf8)
  bytes.append(10)
  bytes.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Ctrl-C: the first asks the machine to stop and report, the second ends the process.
public enum Interruption {
  nonisolated(unsafe) private static var count: sig_atomic_t = 0

  /// Whether the user asked to stop.
  public static var requested: Bool { count > 0 }

  /// Catches SIGINT and SIGTERM from now on.
  public static func install() {
    let handler: @convention(c) (Int32) -> Void = { _ in
      Interruption.count &+= 1
      if Interruption.count > 1 { _exit(RunReport.Status.interrupted) }
    }
    var wanted = sigset_t()
    sigemptyset(&wanted)
    for number in [SIGINT, SIGTERM] {
      signal(number, handler)
      sigaddset(&wanted, number)
    }
    // Whoever started this process may have had them blocked.
    sigprocmask(SIG_UNBLOCK, &wanted, nil)
  }
}

/// Host time, for figures only: nothing in a guest depends on it.
public struct Stopwatch: Sendable {
  private let start: timespec

  /// Begins now.
  public init() {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    start = now
  }

  /// Seconds since it was made.
  public var seconds: Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec - start.tv_sec) + Double(now.tv_nsec - start.tv_nsec) / 1e9
  }
}

/// A number with at most `places` digits behind the point.
func fixed(_ value: Double, _ places: Int) -> String {
  guard value.isFinite else { return "-" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let whole = (value * scale).rounded() / scale
  guard abs(whole) < 1e15 else { return "\(whole)" }
  var text = "\(Int64(whole))"
  if places > 0 {
    let rest = Int64(((abs(whole) - abs(whole).rounded(.down)) * scale).rounded())
    let digits = "\(rest)"
    text += "." + String(repeating: "0", count: max(places - digits.count, 0)) + digits
  }
  return text
}

/// A number in groups of three digits.
func grouped(_ value: UInt64) -> String {
  var groups: [Substring] = []
  var digits = Substring("\(value)")
  while digits.count > 3 {
    groups.append(digits.suffix(3))
    digits = digits.dropLast(3)
  }
  groups.append(digits)
  return groups.reversed().joined(separator: " ")
}
