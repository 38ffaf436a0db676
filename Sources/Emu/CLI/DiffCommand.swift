import ArgumentParser
import Engine
import Machine

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Where two recorded runs part: the first instruction that differs, with symbols.",
    discussion: """
      Both are replayed. Where the machines are the same at the start, the whole state is compared,
      and the first instruction with another effect is found; else the path of instructions.

      EXAMPLES
        emu diff a.emutrace b.emutrace

      EXIT STATUS
        0: no difference. 1: a difference. 122: a trace can't be read. 123: a replay diverges. 64:
        wrong usage.
      """)

  @Option(help: BackEnd.help)
  var engine = BackEnd.standard

  @Argument(help: "A trace file.")
  var one: String

  @Argument(help: "Another one.")
  var other: String

  func run() throws {
    Interruption.install()
    try DiffRun.run([one, other], engine: engine.checked()).exit(stats: false)
  }
}
