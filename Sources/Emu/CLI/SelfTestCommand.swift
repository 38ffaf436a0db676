import ArgumentParser
import Engine
import Machine

struct SelfTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "selftest",
    abstract: "Run the kernel's own tests of its probes, of every kind.",
    discussion: """
      The report on stdout is KTAP, as Linux's KUnit writes it. The names of the suite kprobes_test
      are those of Linux's lib/tests/test_kprobes.c where it has such a test.

      EXAMPLES
        emu selftest
        emu selftest --list
        emu selftest --filter uretprobes --caches architectural
        emu selftest --machine x86_64

      EXIT STATUS
        0: all passed. 1: one failed. 64: wrong usage, or no test has such a name.
      """)

  @Flag(help: "Only list the tests' names.")
  var list = false

  @Option(help: "Only tests whose SUITE.NAME contains this.")
  var filter = ""

  @Option(help: "The guest.")
  var machine: ProgramArchitecture = .riscv64

  @Option(
    help: "Caches: coherent, or architectural (stale until the guest executes the fence).")
  var caches = CacheModel.coherent

  func run() throws {
    if list {
      let names = SelfTest.names.filter { filter.isEmpty || $0.contains(filter) }
      try printOutput(names.map { $0 + "\n" }.joined())
      return
    }
    Interruption.install()
    var problem: String?
    guard
      let failed = SelfTest.run(
        matching: filter, on: machine, caches: caches,
        output: { if let line = Listing.print($0 + "\n") { problem = line } })
    else { throw ValidationError("No test's name contains '\(filter)'") }
    if let problem {
      printError("emu: \(problem)")
      throw ExitCode(RunReport.Status.failure)
    }
    throw ExitCode(failed == 0 ? 0 : 1)
  }
}
