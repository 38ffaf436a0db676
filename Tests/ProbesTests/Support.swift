import Engine
import GuestKernel
import Machine
import RISCV
import Testing
import X86

@testable import Probes

#if canImport(Glibc)
import Glibc
#endif

/// The world outside of a test's guest: keeps what it writes.
final class TestHost: HostServices {
  var output: [UInt8] = []
  private var random: UInt8 = 0
  func consoleRead(_ count: Int) -> ConsoleInput { .end }
  func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
    output += bytes
    return nil
  }
  func randomBytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in
      random &+= 41
      return random
    }
  }
  var startOfRun: UInt64 { 1_700_000_000_000_000_000 }
  func hostStat(_ path: String) -> HostNode? { nil }
  func hostList(_ path: String) -> [String]? { nil }
  func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? { nil }
  var text: String { String(decoding: output, as: UTF8.self) }
}

/// The bytes of a file of the host.
func contents(_ path: String) -> [UInt8] {
  guard let file = fopen(path, "rb") else { return [] }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = fread(&buffer, 1, buffer.count, file)
    if count <= 0 { return bytes }
    bytes += buffer[..<count]
  }
}

/// Both kinds of caches.
let models = [CacheModel.coherent, .architectural]
/// Who runs the scenarios.
let guests = ProgramArchitecture.allCases

private let folder = String(#filePath.dropLast("Support.swift".count))
private let images = folder + "../../images/user/"

/// A machine with a program in it and probes.
final class Rig {
  let host = TestHost()
  let machine: ProgramMachine
  let probes: ProbeSubsystem
  let path: String
  var messages: [String] = []

  init(
    _ program: String = "probes.elf", _ arguments: [String] = [],
    cacheModel: CacheModel = .coherent, compressed: Bool = true, facts: (any ProbeISA)? = nil,
    guest: ProgramArchitecture = .riscv64
  ) throws {
    var configuration = ProgramConfiguration()
    configuration.architecture = guest
    self.guest = guest
    configuration.cacheModel = cacheModel
    configuration.memory = 64 << 20
    if !compressed {
      configuration.hasCompressed = false
      configuration.kernelImage = contents(folder + "Programs/kernel-rv64g.elf")
    }
    machine = try ProgramMachine(configuration, host: host) { false }
    let own: any ProbeISA =
      guest == .riscv64 ? RISCVProbeISA(compressed: compressed) : X86ProbeISA()
    probes = ProbeSubsystem(kernel: machine.kernel, isa: facts ?? own)
    let isOwn = program.hasPrefix("probes") || program.hasPrefix("scenes")
    let program = isOwn ? Self.program(guest, program) : program
    path = "/" + program
    let bytes = contents(
      isOwn ? folder + "Programs/" + program : images + guest.rawValue + "/" + program)
    try machine.kernel.vfs.installProgram(Path(path), HostBytes(bytes))
    elf = bytes
    machine.log = { [unowned self] in messages.append($0) }
    try machine.start(
      BootRequest(
        path: Array(path.utf8), arguments: ([program] + arguments).map { Array($0.utf8) }))
  }

  let elf: [UInt8]
  let guest: ProgramArchitecture

  /// A program of `Programs`, as it is called for a guest.
  static func program(
    _ guest: ProgramArchitecture, _ program: String = "probes.elf"
  ) -> String {
    guest == .riscv64 ? program : program.dropLast(".elf".count) + "-\(guest.rawValue).elf"
  }

  /// The kernel's function that a system call begins with.
  func syscall(_ name: String) -> String {
    guest == .riscv64 ? "__riscv_sys_\(name)" : "__x64_sys_\(name)"
  }

  @discardableResult
  func run(limit: UInt64 = 400_000_000) -> ProgramExit { machine.run(limit: limit) }
}

/// What a run came to.
struct Outcome: Equatable {
  var exit: ProgramExit
  var output: String
}

extension Rig {
  func outcome(limit: UInt64 = 400_000_000) -> Outcome {
    let exit = run(limit: limit)
    return Outcome(exit: exit, output: host.text)
  }
}

/// Where nothing can be loaded or stored.
final class NoMemory: ProbedMemory {
  func loadMemory(_ va: UInt64, _ size: Int) -> UInt64? { nil }
  func storeMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool { false }
  func correctMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool { false }
}
