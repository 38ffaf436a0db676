import ArgumentParser
import Machine

extension InsnFormat: ExpressibleByArgument {}

struct TraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Which instructions a recorded run executed, and what they did.",
    discussion: """
      The run is replayed; counts are those of 'emu replay --to'. A line of text has the count, the
      mode, pc, bytes and instruction, then what it wrote: registers (name=value) and memory
      (st8[address]=value, loads as ld8).

      EXAMPLES
        emu trace run.emutrace --from 10000 --to 10100
        emu trace run.emutrace --user --no-counts -o run.insns
        emu trace run.emutrace --format spike
        emu trace run.emutrace --format perfetto -o run.json
        emu trace run.emutrace --format blocks -o run.blocks; emu trace run.blocks --to 100
        emu trace --native -o ls.emutrace ls -- -l; emu trace ls.emutrace; emu check ls.emutrace

      With --native a program of this x86-64 host runs on its own processor, stepped by ptrace; all that
      it does to registers and memory goes to a file, which this command prints and 'emu check'
      compares with the emulated processor. The program sees that one's CPUID, and no vDSO.

      EXIT STATUS
        0: written. 122: the trace can't be read, or was cut off. 123: the replay diverges. 125: the
        output can't be written. 64: wrong usage.
      """)

  @Option(help: "The first instruction, by its count.")
  var from = Count(0)

  @Option(help: "The instruction behind the last.")
  var to: Count?

  @Flag(help: "Instructions (the default; the only thing there is to be traced).")
  var insns = false

  @Option(help: "How instructions are written.")
  var format = InsnFormat.text

  @Flag(help: "Instructions of programs alone.")
  var user = false

  @Flag(inversion: .prefixedNo, help: "Begin lines of text with counts.")
  var counts = true

  @Flag(help: "With --format blocks: report instructions, bytes and time on stderr at the end.")
  var stats = false

  @Option(name: .shortAndLong, help: "Where it goes, if not to standard output.")
  var output: String?

  @Flag(help: "Trace a program of the host (x86-64 Linux) instead, into a file.")
  var native = false

  @Option(
    name: .customLong("max-insns"), help: "With --native: stop behind this many instructions.")
  var limit: Count?

  @Flag(
    name: .customLong("host-cpuid"), help: "With --native: the program sees the host's own CPUID.")
  var hasHostIdentification = false

  @OptionGroup var replay: ReplayOptions

  @Argument(help: "With --native: the program's arguments; behind '--' where they begin with '-'.")
  var arguments: [String] = []

  mutating func validate() throws {
    if !native, let first = arguments.first {
      throw ValidationError("Unexpected argument '\(first)'")
    }
    if !native, limit != nil || hasHostIdentification {
      throw ValidationError("--max-insns and --host-cpuid go with --native")
    }
    if let to, to.value < from.value { throw ValidationError("--to is before --from") }
  }

  func run() throws {
    Interruption.install()
    if native { return try traceNative() }
    var options = TraceRun.Options()
    options.replay = try replay.options()
    options.from = from.value
    options.to = to?.value ?? .max
    options.format = format
    options.userOnly = user
    options.showsCounts = counts
    options.output = output
    try TraceRun.run(options).exit(stats: stats)
  }

  private func traceNative() throws {
    var options = NativeRun.Options()
    options.program = [replay.trace] + arguments
    options.output = output ?? options.output
    options.limit = limit?.value ?? .max
    options.hasHostIdentification = hasHostIdentification
    try NativeRun.run(options).exit(stats: false)
  }
}
