import Engine
import Image
import TraceFile

/// `emu check`: replays somebody else's instruction trace against our hart.
public enum CheckRun {
  /// Whose a log is.
  public enum Format: String, Sendable, CaseIterable {
    /// Spike's `--log-commits`.
    case spike
    /// `qemu-riscv64 -d in_asm,cpu,nochain`.
    case qemu
    /// `emu trace --native`.
    case native
  }

  /// What the command line says.
  public struct Options {
    /// The log.
    public var log = ""
    /// Whose it is.
    public var format = Format.spike
    /// The image that ran.
    public var image: String?
    /// How many differences are told.
    public var limit = 10
    /// What runs micro-ops.
    public var engine = BackEnd.interpreter

    /// A log that has no name yet.
    public init() {}
  }

  /// Statuses of `emu check`.
  public enum Status {
    /// Every instruction does what the log says.
    public static let same: Int32 = 0
    /// One does not.
    public static let different: Int32 = 1
  }

  /// Checks a log.
  public static func run(_ options: Options) -> RunReport {
    do throws(LaunchError) {
      return try check(options)
    } catch {
      return error.report
    }
  }

  private static func check(_ options: Options) throws(LaunchError) -> RunReport {
    var log = try read(options)
    var report = RunReport(status: Status.same)
    var told = 0
    guard
      let check = TraceCheck(
        options.format == .native ? X86Check() : RISCVCheck(),
        isUserMode: options.format != .spike, engine: options.engine,
        unit: log.unit, knowsMemory: log.knowsMemory,
        report: { lines in
          told += 1
          if told <= options.limit { report.messages += lines.map { "check: \($0)" } }
        })
    else {
      throw LaunchError(
        description: "the host refuses \(CheckMemory.size) bytes of RAM",
        status: RunReport.Status.failure)
    }
    defer { check.end() }
    if let path = options.image { try load(path, into: check) }
    var problem: String?
    do throws(LogError) {
      while !check.isFull, !Interruption.requested, let step = try log.next() { check.check(step) }
    } catch {
      problem = "\(options.log): \(error)"
    }
    let summary = check.summary
    if told > options.limit {
      report.messages.append("check: \(told - options.limit) more differences")
    }
    report.messages.append(text(summary))
    if summary.differences > 0 { report.status = Status.different }
    if summary.insns == 0, problem == nil {
      problem =
        "\(options.log): no instruction in it; is it a log of the format '\(options.format)'?"
    }
    if check.isFull { problem = "\(options.log): it touches more than \(CheckMemory.size) bytes" }
    if let problem {
      report.messages.append(problem)
      report.status = ReplayRun.Status.unreadable
    }
    return report
  }

  private static func read(_ options: Options) throws(LaunchError) -> any ForeignLog {
    if options.format == .native { return try native(options.log) }
    let bytes: [UInt8]
    do throws(HostFileError) {
      bytes = try Host.contents(of: options.log, limit: 1 << 36)
    } catch {
      throw LaunchError(description: error.description, status: ReplayRun.Status.unreadable)
    }
    switch options.format {
    case .spike: return SpikeLog(bytes)
    case .qemu, .native: return QEMULog(bytes)
    }
  }

  private static func native(_ path: String) throws(LaunchError) -> any ForeignLog {
    do throws(TraceFileError) {
      let file = try TraceReader(path)
      guard NativeLogReader.isOne(file) else { throw .missing("register trace") }
      return NativeLog(file)
    } catch {
      throw LaunchError(description: error.named(path), status: ReplayRun.Status.unreadable)
    }
  }

  private static func load(_ path: String, into check: TraceCheck) throws(LaunchError) {
    do {
      let elf = try ELFFile(try Host.contents(of: path))
      for segment in elf.header.loadable {
        let bytes = elf.bytes.dropFirst(Int(clamping: segment.offset))
          .prefix(Int(clamping: segment.fileSize))
        check.load(segment.address, Array(bytes))
      }
    } catch let error as HostFileError {
      throw LaunchError(
        description: error.description,
        status: error.missing ? RunReport.Status.notFound : RunReport.Status.notExecutable)
    } catch {
      throw LaunchError(
        description: "\(path): \(error)", status: RunReport.Status.notExecutable)
    }
  }

  private static func text(_ summary: TraceCheck.Summary) -> String {
    var parts = [
      "\(grouped(summary.insns)) instructions",
      "\(grouped(UInt64(summary.differences))) differences",
    ]
    if summary.unchecked > 0 {
      parts.append("\(grouped(summary.unchecked)) not determined by the log")
    }
    if summary.systemCalls > 0 { parts.append("\(grouped(summary.systemCalls)) system calls") }
    if summary.jumps > 0 { parts.append("\(grouped(summary.jumps)) interrupts or signals") }
    return "check: " + parts.joined(separator: ", ")
  }
}
