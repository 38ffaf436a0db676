import ArgumentParser
import Machine

extension SyscallList.Filter: ExpressibleByArgument {}
extension ProgramArchitecture: ExpressibleByArgument {}

struct SyscallsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "syscalls",
    abstract: "Print the table of system calls: supported, partial (and what is missing), or not.",
    discussion: """
      EXAMPLES
        emu syscalls
        emu syscalls --status partial
        emu syscalls --machine x86_64
      """)

  @Option(help: "Only rows of this status.")
  var status: SyscallList.Filter?

  @Option(help: "Whose numbers.")
  var machine: ProgramArchitecture = .riscv64

  func run() throws { try printOutput(SyscallList.text(status, of: machine)) }
}
