import ArgumentParser
import Machine

extension SyscallList.Filter: ExpressibleByArgument {}

struct SyscallsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "syscalls",
    abstract: "Print the table of system calls: supported, partial (and what is missing), or not.",
    discussion: """
      EXAMPLES
        emu syscalls
        emu syscalls --status partial
      """)

  @Option(help: "Only rows of this status.")
  var status: SyscallList.Filter?

  func run() throws { try printOutput(SyscallList.text(status)) }
}
