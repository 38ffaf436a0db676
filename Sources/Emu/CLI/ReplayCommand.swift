import ArgumentParser
import Machine

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Run what was recorded once more: the same bytes, counts and final state.",
    discussion: """
      EXAMPLES
        emu replay run.emutrace
        emu replay --engine interpreter --stats run.emutrace

      EXIT STATUS
        That of the recorded run. 122: the trace can't be read, or was cut off. 123: the run is not
        the one that was recorded; a line says where. 130: interrupted. 64: wrong usage.
      """)

  @Flag(help: "Report instructions, time, page faults and TLB misses on stderr at the end.")
  var stats = false

  @Flag(help: "Print nothing of what the guest prints.")
  var quiet = false

  @Flag(
    name: .customLong("skip-damaged"),
    help: "Pass over damaged chunks, and go as far as the rest allows.")
  var skipDamaged = false

  @Option(
    help:
      "Which engine runs the guest (\(EngineChoice.allCases.map(\.rawValue).joined(separator: ", ")))."
  )
  var engine: EngineChoice?

  @Argument(help: "The trace file.")
  var trace: String

  func run() throws {
    Interruption.install()
    var options = ReplayRun.Options()
    options.input = trace
    options.engine = try EngineChoice.backEnd(engine)
    options.skipDamaged = skipDamaged
    options.isQuiet = quiet
    try ReplayRun.run(options).exit(stats: stats)
  }
}
