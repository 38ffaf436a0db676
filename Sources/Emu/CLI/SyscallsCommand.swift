import ArgumentParser
import Machine

struct SyscallsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "syscalls",
    abstract: "Print the table of system calls: supported, partial (and what is missing), or not.",
    discussion: """
      EXAMPLES
        emu syscalls
        emu syscalls --status partial
      """)
  func run() throws {}
}
