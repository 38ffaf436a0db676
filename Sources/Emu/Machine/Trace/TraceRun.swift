import Engine
import RISCV
import TraceFile

/// `emu trace`: which instructions a recorded run executed, and what they did.
public enum TraceRun {
  /// What the command line says.
  public struct Options {
    /// The recording, and how it is replayed.
    public var replay = ReplayRun.Options()
    /// The first instruction, by its count.
    public var from: UInt64 = 0
    /// The instruction behind the last.
    public var to: UInt64 = .max
    /// How it is written.
    public var format = InsnFormat.text
    /// Instructions of programs alone.
    public var userOnly = false
    /// Lines of text begin with counts.
    public var showsCounts = true
    /// Where it goes; `nil`: standard output.
    public var output: String?

    /// All of a recording that has no name yet.
    public init() {}
  }

  /// Replays the run and writes its instructions.
  public static func run(_ options: Options) -> RunReport {
    do throws(LaunchError) {
      let file = try open(options.replay.input)
      if NativeLogReader.isOne(file) { return try NativeListing.write(file, options) }
      let stream = InsnStream(file)
      if !stream.isEmpty { return try list(stream, options) }
      if options.format == .blocks { return try writeBlocks(options) }
      var replay = options.replay
      replay.isQuiet = true
      let replayed = try ReplayedRun(replay)
      let output: TraceOutput
      do throws(HostFileError) {
        output = try TraceOutput(options.output, name: "trace", isOutput: true)
      } catch {
        throw LaunchError(description: error.description, status: RunReport.Status.failure)
      }
      _ = try replayed.travel(to: options.from)
      try trace(replayed, options, output)
      output.flush()
      var report = RunReport(status: 0)
      if let divergence = replayed.replay.divergence {
        report = replayed.finish()
        if !divergence.isEndOfRecording { return report }
      }
      report.statistics = nil
      if let problem = output.problem {
        return RunReport(status: RunReport.Status.failure, problem)
      }
      return report
    } catch {
      return error.report
    }
  }

  /// Instructions between two looks at whether anybody still reads.
  private static let step: UInt64 = 1 << 16

  private static func trace(
    _ replayed: ReplayedRun, _ options: Options, _ output: TraceOutput
  ) throws(LaunchError) {
    let symbols = SymbolCache(replayed.session)
    let isa = replayed.session.makeTraceISA()
    guard options.format.serves(isa) else {
      throw LaunchError(
        description: "--format \(options.format) is of RISC-V runs: text, json, perfetto or blocks",
        status: RunReport.Status.usage)
    }
    let writer = InsnWriter(
      options.format, isa, showsCounts: options.showsCounts,
      symbol: symbols.symbol, write: { output.write($0) })
    try trace(replayed, options, writer) { output.isOpen }
  }

  /// Writes the instructions from where a run is on as text.
  static func trace(
    _ replayed: ReplayedRun, to end: UInt64, write: @escaping (String) -> Void
  ) throws(LaunchError) {
    var options = Options()
    options.to = end
    let symbols = SymbolCache(replayed.session)
    let writer = InsnWriter(
      .text, replayed.session.makeTraceISA(), showsCounts: true, symbol: symbols.symbol,
      write: write)
    try trace(replayed, options, writer) { true }
  }

  private static func trace(
    _ replayed: ReplayedRun, _ options: Options, _ writer: InsnWriter, isOpen: () -> Bool
  ) throws(LaunchError) {
    let session = replayed.session
    let isa = session.makeTraceISA()
    var tracers: [(Hart, InsnTracer)] = []
    var canGoOn = session.count < options.to
    while canGoOn, isOpen(), !Interruption.requested {
      if tracers.map({ ObjectIdentifier($0.0) }) != session.harts.map({ ObjectIdentifier($0) }) {
        tracers = session.harts.map { hart in
          let tracer = InsnTracer(
            isa, before: { [unowned hart] in session.countBesides(hart) },
            task: { session.task }, output: writer.add)
          tracer.wantsState = options.format == .qemu
          hart.observe(tracer, modes: options.userOnly ? isa.userModes : .max)
          return (hart, tracer)
        }
      }
      let (next, overflow) = session.count.addingReportingOverflow(step)
      canGoOn = try replayed.advance(to: overflow ? options.to : min(next, options.to))
      if session.count >= options.to { canGoOn = false }
    }
    for (hart, tracer) in tracers {
      tracer.close(hart)
      hart.observe(nil)
    }
    writer.finish()
  }
}

extension TraceRun {
  private static func open(_ path: String) throws(LaunchError) -> TraceReader {
    do throws(TraceFileError) {
      return try TraceReader(path)
    } catch {
      throw LaunchError(description: error.named(path), status: ReplayRun.Status.unreadable)
    }
  }

  /// Runs what was recorded and writes the numbers of its blocks.
  private static func writeBlocks(_ options: Options) throws(LaunchError) -> RunReport {
    guard let path = options.output else {
      throw LaunchError(
        description: "--format blocks needs --output", status: RunReport.Status.usage)
    }
    var replay = options.replay
    replay.isQuiet = true
    let watch = Stopwatch()
    let replayed = try ReplayedRun(replay)
    let session = replayed.session
    let writer: TraceWriter
    do throws(TraceFileError) {
      writer = try TraceWriter(path, level: 1)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.failure)
    }
    var description = replayed.recording.description
    description[RunDescription.instructionSet] = session.makeTraceISA().name
    writer.write(.configuration, description.encoded)
    _ = try replayed.travel(to: options.from)
    let stream = InsnStreamWriter(writer)
    let modes = options.userOnly ? session.makeTraceISA().userModes : .max
    let first = session.count
    var logs: [(hart: Hart, log: BlockLog)] = []
    func attach() {
      for (hart, log) in logs { log.finish(at: hart.count) }
      // Harts of a board share their blocks.
      var first: BlockLog?
      logs = session.harts.map { hart in
        let log = BlockLog(beside: first) { stream.add(hart.index, $0, $1, $2) }
        first = log
        hart.log(log, modes: modes)
        return (hart, log)
      }
    }
    var canGoOn = session.count < options.to
    while canGoOn, writer.problem == nil, !Interruption.requested {
      if logs.map({ ObjectIdentifier($0.hart) }) != session.harts.map({ ObjectIdentifier($0) }) {
        attach()
      }
      let (next, overflow) = session.count.addingReportingOverflow(1 << 24)
      canGoOn = try replayed.advance(to: overflow ? options.to : min(next, options.to))
      if session.count >= options.to { canGoOn = false }
    }
    for (hart, log) in logs { log.finish(at: hart.count) }
    let insns = session.count &- first
    if let problem = writer.finish() {
      return RunReport(status: RunReport.Status.failure, problem)
    }
    if let divergence = replayed.replay.divergence, !divergence.isEndOfRecording {
      return replayed.finish()
    }
    var report = RunReport(status: 0)
    let seconds = watch.seconds
    report.statistics = [
      "instructions  \(grouped(insns))", "blocks        \(grouped(stream.blocks))",
      "bytes         \(grouped(writer.size)), \(fixed(Double(writer.size) / Double(max(insns, 1)), 4)) an instruction",
      "time          \(fixed(seconds * 1000, 1)) ms, \(fixed(Double(insns) / seconds / 1e6, 1)) million a second",
    ].joined(separator: "\n")
    return report
  }

  /// Writes the instructions of a stream as text.
  private static func list(
    _ stream: InsnStream, _ options: Options
  ) throws(LaunchError) -> RunReport {
    let output: TraceOutput
    do throws(HostFileError) {
      output = try TraceOutput(options.output, name: "trace", isOutput: true)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.failure)
    }
    guard options.format == .text else {
      throw LaunchError(
        description:
          "\(options.replay.input): it has no registers and no memory: only --format text",
        status: RunReport.Status.usage)
    }
    do throws(TraceFileError) {
      let isa = try stream.makeTraceISA()
      try stream.read { run in
        var (pc, count) = (run.pc, run.count)
        let isUser = isa.userModes >> UInt64(run.mode) & 1 == 1
        for insn in run.insns {
          defer {
            pc &+= UInt64(insn.count)
            count &+= 1
          }
          guard count >= options.from else { continue }
          guard count < options.to else { return false }
          if options.userOnly, !isUser { continue }
          var line = options.showsCounts ? padded("\(count)", 10, left: true) + " " : ""
          if run.hart > 0 { line += "#\(run.hart) " }
          line += "\(isUser ? "U" : "K") \(hex(pc, 16)) "
          line += isa.column(insn)
          line += isa.disassemble(insn, at: pc, code: run.code).replacing("\t", with: " ") + "\n"
          output.write(line)
        }
        return output.isOpen && !Interruption.requested
      }
    } catch {
      output.flush()
      return RunReport(
        status: ReplayRun.Status.unreadable, error.named(options.replay.input))
    }
    output.flush()
    if let problem = output.problem {
      return RunReport(status: RunReport.Status.failure, problem)
    }
    return RunReport(status: 0)
  }
}

/// Symbols by pc and task, asked for once.
private final class SymbolCache {
  private struct Key: Hashable {
    var pc: UInt64
    var task: Int32
  }
  private let session: any GuestSession
  private var names: [Key: String?] = [:]

  init(_ session: any GuestSession) { self.session = session }

  func symbol(_ pc: UInt64) -> String? {
    let key = Key(pc: pc, task: session.task)
    if let name = names[key] { return name }
    if names.count > 1 << 20 { names.removeAll() }
    let name = session.symbol(pc)
    names[key] = .some(name)
    return name
  }
}
