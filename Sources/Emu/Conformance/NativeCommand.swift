import ArgumentParser
import Engine
import Foundation
import GuestKernel
import Machine
import X86

/// `emu-conformance native`.
struct NativeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "native",
    abstract: "Steps x86-64 programs on this host's processor and compares every pc with emu's.",
    discussion: """
      The programs of images/user/x86_64, or a static program and its arguments. Both begin with the \
      same stack, auxiliary vector and random bytes; what CPUID, time, randomness, the number of \
      processors and mmap answer is told to the native program as the emulated one heard it.

      Examples:
        emu-conformance native
        emu-conformance native --insns 5000000 images/user/x86_64/kbench.elf all x1
      """)

  @Option(help: "The folder of images.")
  var images = "images"

  @Option(help: "Places to compare at most, for each program.")
  var insns: UInt64 = 1_200_000

  @Argument(parsing: .captureForPassthrough, help: "A program and its arguments.")
  var program: [String] = []

  /// Programs of one thread that print no times.
  private static let programs = [
    ["hello", "one", "two=2"], ["jumps"], ["floats"], ["stackgrow"], ["vectors"], ["mallocs"],
    ["kbench", "all", "x1"],
  ]

  mutating func run() throws {
    var total: UInt64 = 0
    var failed = false
    let commands =
      program.isEmpty
      ? Self.programs.map { ["\(images)/user/x86_64/\($0[0]).elf"] + $0.dropFirst() } : [program]
    for command in commands {
      let (count, verdict) = try compare(command)
      say("\(command.joined(separator: " ")): \(count) places: \(verdict ?? "same")")
      total += count
      failed = failed || verdict != nil
    }
    say("\(total) places compared")
    if failed { throw ExitCode(1) }
  }

  /// At once: the whole takes minutes.
  private func say(_ text: String) {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
  }

  private func compare(_ command: [String]) throws -> (UInt64, String?) {
    let path = URL(fileURLWithPath: command[0]).path
    guard let bytes = try? [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) else {
      throw ToolError(description: "\(path) can't be read")
    }
    var configuration = ProgramConfiguration()
    configuration.architecture = .x86_64
    let machine = try ProgramMachine(configuration, host: SilentHost()) { true }
    try machine.kernel.vfs.installProgram(Path(path), HostBytes(bytes))
    try machine.start(
      BootRequest(
        path: Array(path.utf8), arguments: command.map { Array($0.utf8) }, environment: []))
    let twin = try NativeTwin(path, arguments: command, kernel: machine.kernel, limit: insns)
    machine.hart.observe(twin, modes: X64.userModes)
    while twin.difference == nil, twin.count < insns {
      switch machine.run(limit: machine.hart.count + 1_000_000) {
      case .limit: continue
      case .ended(let status): twin.end(status.shellStatus)
      case let other: return (twin.count, "emu: \(other)")
      }
      break
    }
    return (twin.count, twin.difference)
  }
}
