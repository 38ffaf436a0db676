import ArgumentParser
import Engine
import Machine

extension CheckRun.Format: ExpressibleByArgument {}

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Replay somebody else's instruction trace against our processor.",
    discussion: """
      Every instruction of the log is run on our own hart with the log's state before it; registers,
      stores and the next pc must be what the log says. Bytes of memory that nobody has written yet
      are taken from what loads are said to have given; what system calls do is taken from the log.
      QEMU's log determines each instruction with -singlestep, else each block as a whole.

      EXAMPLES
        qemu-riscv64 -singlestep -d in_asm,cpu,nochain -D hello.log hello.elf
        emu check hello.log --format qemu --image hello.elf
        spike -l --log-commits --log=test.log test.elf; emu check test.log --format spike
        emu trace run.emutrace --format spike -o run.log; emu check run.log --format spike
        emu trace --native -o ls.emutrace ls; emu check ls.emutrace --format native

      EXIT STATUS
        0: every instruction does what the log says. 1: one does not; lines say which and what. 122:
        the log can't be read to its end; a line says where. 64: wrong usage.
      """)

  @Option(help: "Whose log it is.")
  var format: CheckRun.Format

  @Option(help: "The image that ran: its bytes are known from the start.")
  var image: String?

  @Option(name: .customLong("max-differences"), help: "How many differences are told.")
  var maxDifferences = 10

  @Option(help: BackEnd.help)
  var engine = BackEnd.interpreter

  @Argument(help: "The log.")
  var log: String

  func run() throws {
    Interruption.install()
    var options = CheckRun.Options()
    options.log = log
    options.format = format
    options.image = image
    options.limit = max(maxDifferences, 0)
    options.engine = try engine.checked()
    try CheckRun.run(options).exit(stats: false)
  }
}
