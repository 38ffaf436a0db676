import ArgumentParser
import Engine
import Machine
import Probes

extension StateDump: ExpressibleByArgument {}

/// What every command asks that runs a recording once more.
struct ReplayOptions: ParsableArguments {
  @Flag(
    name: .customLong("skip-damaged"),
    help: "Pass over damaged chunks, and go as far as the rest allows.")
  var skipDamaged = false

  @Option(help: BackEnd.help)
  var engine = BackEnd.standard

  @Argument(help: "The trace file.")
  var trace: String

  /// The options of a replay that these are.
  func options() throws -> ReplayRun.Options {
    var options = ReplayRun.Options()
    options.input = trace
    options.engine = try engine.checked()
    options.skipDamaged = skipDamaged
    return options
  }
}

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Run what was recorded once more: the same bytes, counts and final state.",
    discussion: """
      EXAMPLES
        emu replay run.emutrace
        emu replay --engine interpreter --stats run.emutrace
        emu replay run.emutrace --to 1234567 --dump regs,stack,maps
        emu replay run.emutrace --probe 'p vfs_read count=$arg3'

      EXIT STATUS
        That of the recorded run; 0 where --to ends it before. 122: the trace can't be read, or was
        cut off. 123: the run is not the one that was recorded; a line says where. 130: interrupted.
        64: wrong usage.
      """)

  @Flag(help: "Report instructions, time, page faults and TLB misses on stderr at the end.")
  var stats = false

  @Flag(help: "Print nothing of what the guest prints.")
  var quiet = false

  @Option(help: "Stop before the instruction of this count; the guest prints nothing.")
  var to: Count?

  @Option(
    help: ArgumentHelp(
      "What to show where --to stops.",
      valueName: StateDump.allCases.map(\.rawValue).joined(separator: ",")))
  var dump: String?

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Watch for an event, defined as for 'emu run --probe'; the run is not changed by it.",
      valueName: "p|r[:[GRP/]EVENT] PLACE [ARG...]"))
  var probe: [String] = []

  @Option(
    name: .customLong("trace-output"),
    help: "Where hits and the table of hits go, if not to stderr.")
  var traceOutput: String?

  @Option(help: "How hits are written: text (as Linux's trace file), or json lines.")
  var format = TraceFormat.text

  @OptionGroup var replay: ReplayOptions

  private func dumps() throws -> [StateDump] {
    try (dump ?? "").split(separator: ",").map { word in
      guard let kind = StateDump(rawValue: String(word)) else {
        throw ValidationError("--dump knows no '\(word)'")
      }
      return kind
    }
  }

  mutating func validate() throws {
    _ = try dumps()
    if traceOutput != nil, probe.isEmpty {
      throw ValidationError("--trace-output needs --probe")
    }
    if dump != nil, to == nil { throw ValidationError("--dump needs --to") }
  }

  func run() throws {
    Interruption.install()
    var options = try replay.options()
    options.hashesState = stats
    options.probes = probe
    options.traceOutput = traceOutput
    options.traceFormat = format
    options.isQuiet = quiet || to != nil
    options.to = to?.value
    options.dumps = try dumps()
    try ReplayRun.run(options).exit(stats: stats)
  }
}
