import ArgumentParser
import Engine
import Machine
import Probes

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Run a program with and without probes and compare all that its instructions do.",
    discussion: """
      Two machines run the program, one with probes. Before each of the program's instructions all
      registers are compared, after each the bytes that it stored; at the end its output and its exit.
      The first difference is reported with the instruction, its class, and both states.

      Differences that are not mistakes, as Linux has them too: a program that reads its own text reads
      breaks; /proc/self/maps shows [uprobes]; the SIGTRAP of a program's own break says no address.

      Options of emu come before PROGRAM; --every-insn, --once and --kernel are understood as its last
      arguments too, unless -- stands before them.

      EXAMPLES
        emu verify images/user/riscv64/hello.elf world
        emu verify ./busybox sh -c 'seq 100 | sort -rn | head -3' --every-insn
        emu verify --once --kernel images/user/riscv64/hello.elf
        emu verify --place ./busybox:main+4 --place do_sys_openat2 ./busybox true

      EXIT STATUS
        0: no difference. 1: a difference. 64: wrong usage, or a place that takes no probe. 125 to
        127, 130: as emu run.
      """)

  @Flag(name: .customLong("every-insn"), help: "Probe every instruction, each time (default).")
  var everyInsn = false

  @Flag(help: "Probe every instruction until its first hit.")
  var once = false

  @Option(
    help: ArgumentHelp(
      "Probe one place; may be given again.",
      valueName: "SYM[+OFFS]|PATH:OFFSET|PATH:SYMBOL[+OFFS]"))
  var place: [String] = []

  @Flag(help: "Probe every instruction of the kernel's text too.")
  var kernel = false

  @Flag(
    name: .customLong("kernel-only"),
    help: "Probe the kernel's text alone, and compare what its instructions do as well.")
  var kernelOnly = false

  @OptionGroup var guest: GuestOptions

  @Option(
    name: .customLong("max-insns"), help: "Stop after this many instructions of the program.")
  var maxInsns: Count?

  @Argument(parsing: .captureForPassthrough, help: "The program, and its arguments.")
  var program: [String]

  mutating func validate() throws {
    guard let first = program.first else { throw ValidationError("Which program?") }
    if first == "--help" || first == "-h" { throw CleanExit.helpRequest(Self.self) }
    if first.hasPrefix("-"), first != "-" { throw ValidationError("Unknown option '\(first)'") }
    while program.count > 1, let last = program.last {
      switch last {
      case "--every-insn": everyInsn = true
      case "--once": once = true
      case "--kernel": kernel = true
      case "--kernel-only": kernelOnly = true
      case "--":
        break
      default: return try validateModes()
      }
      program.removeLast()
      if last == "--" { break }
    }
    try validateModes()
  }

  private func validateModes() throws {
    let modes = [everyInsn, once, !place.isEmpty, kernelOnly].filter { $0 }.count
    if modes > 1 {
      throw ValidationError("One of --every-insn, --once, --place and --kernel-only")
    }
    if kernel, kernelOnly { throw ValidationError("One of --kernel and --kernel-only") }
  }

  func run() throws {
    Interruption.install()
    var options = Verification.Options()
    guest.fill(&options.run)
    options.run.limit = maxInsns?.value
    options.kernel = kernel || kernelOnly
    options.probed =
      kernelOnly
      ? .none : once ? .once : place.isEmpty ? .everyInsn : .places(place)
    let report = Verification.run(program, options)
    for line in report.messages { printError("emu: \(line)") }
    throw ExitCode(report.status)
  }
}
