import Engine
import Foundation
import GuestKernel
import Machine
import Testing

/// A world outside of which everything is known: no host stream, no host clock, no host file.
final class TestHost: HostServices {
  var output: [UInt8] = []
  var errors: [UInt8] = []
  private var input: ArraySlice<UInt8>
  private var random: UInt64

  init(input: [UInt8] = [], seed: UInt64 = 1) {
    self.input = input[...]
    random = seed
  }

  // 2020-09-13 12:26:40 UTC.
  var startOfRun: UInt64 { 1_600_000_000_000_000_000 }

  func consoleRead(_ count: Int) -> ConsoleInput {
    let bytes = Array(input.prefix(count))
    input = input.dropFirst(count)
    return bytes.isEmpty ? .end : .bytes(bytes)
  }

  func consoleWrite(_ bytes: [UInt8], stream: Int) -> GuestKernel.Errno? {
    if stream == 2 { errors += bytes } else { output += bytes }
    return nil
  }

  // xorshift64: the bytes need only be the same each time.
  func randomBytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return UInt8(truncatingIfNeeded: random >> 32)
    }
  }

  /// Input that is left, the generator, and what was printed.
  var archivedState: [UInt8] {
    get {
      var state = [UInt8](repeating: 0, count: 32)
      state.store64(0, random)
      state.store64(8, UInt64(input.count))
      state.store64(16, UInt64(output.count))
      state.store64(24, UInt64(errors.count))
      return state + input + output + errors
    }
    set {
      random = newValue.load64(0)
      let sizes = [8, 16, 24].map { Int(newValue.load64($0)) }
      let rest = newValue.dropFirst(32)
      input = ArraySlice(Array(rest.prefix(sizes[0])))
      output = Array(rest.dropFirst(sizes[0]).prefix(sizes[1]))
      errors = Array(rest.dropFirst(sizes[0] + sizes[1]))
    }
  }

  func hostStat(_ path: String) -> HostNode? { nil }
  func hostList(_ path: String) -> [String]? { nil }
  func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? { nil }
}

/// A program's machine in the test's own process.
final class ProgramRig {
  /// More than any program in these tests needs: who gets here hangs.
  static let limit: UInt64 = 4_000_000_000

  let host: TestHost
  let machine: ProgramMachine
  private(set) var log: [String] = []

  init(
    _ program: [UInt8], path: String = "/bin/program", arguments: [String] = [],
    environment: [String] = [], input: [UInt8] = [], seed: UInt64 = 1,
    caches: CacheModel = .coherent, engine: BackEnd = .standard,
    architecture: ProgramArchitecture = .riscv64
  ) throws {
    host = TestHost(input: input, seed: seed)
    var configuration = ProgramConfiguration()
    configuration.memory = 128 << 20
    configuration.cacheModel = caches
    configuration.architecture = architecture
    configuration.engine = engine
    machine = try ProgramMachine(configuration, host: host) { true }
    try machine.kernel.vfs.installProgram(Path(path), HostBytes(program))
    machine.log = { [unowned self] in log.append($0) }
    try machine.start(
      BootRequest(
        path: Array(path.utf8), arguments: ([path] + arguments).map { Array($0.utf8) },
        environment: environment.map { Array($0.utf8) }))
  }

  convenience init(
    _ program: ImageCase, caches: CacheModel, engine: BackEnd = .standard
  ) throws {
    try self.init(
      program.imageBytes(), path: "/bin/\(program.image).elf", arguments: program.arguments,
      environment: program.environment, input: program.inputBytes(), caches: caches,
      engine: engine, architecture: program.architecture)
  }

  /// Runs to the end, with a stop after every `slice` instructions.
  func run(slice: UInt64 = limit) -> ProgramExit {
    while true {
      let target = min(machine.hart.count + slice, Self.limit)
      let exit = machine.run(limit: target)
      guard exit == .limit else { return exit }
      if machine.hart.count != target {
        Issue.record("stopped at \(machine.hart.count), not at \(target)")
        return exit
      }
      if target == Self.limit { return exit }
    }
  }

  /// What differs between two machines that should be in the same state.
  func differences(from other: ProgramRig) -> [String] {
    let a = machine.hart
    let b = other.machine.hart
    var found: [String] = []
    if a.count != b.count { found.append("count \(a.count) and \(b.count)") }
    if a.pc != b.pc { found.append("pc \(a.pc) and \(b.pc)") }
    if host.output != other.host.output { found.append("output") }
    if host.errors != other.host.errors { found.append("errors") }
    let statistics = machine.kernel.collectStatistics()
    if statistics != other.machine.kernel.collectStatistics() { found.append("statistics") }
    // Registers and system registers; not the slots that hold addresses of this process.
    let slots = [0..<Slot.temp, Slot.fp..<Slot.pending, Slot.system..<Slot.total]
    for slot in slots.joined() + [Slot.exceptions, Slot.reservation] where a.x[slot] != b.x[slot] {
      found.append("slot \(slot): \(a.x[slot]) and \(b.x[slot])")
    }
    let size = Int(machine.ram.size)
    if memcmp(machine.ram.host, other.machine.ram.host, size) != 0 {
      let first = (0..<size).first {
        machine.ram.host.load(fromByteOffset: $0, as: UInt8.self)
          != other.machine.ram.host.load(fromByteOffset: $0, as: UInt8.self)
      }
      let at = (first ?? 0) & ~7
      let words = [machine.ram, other.machine.ram].map {
        String($0.host.load(fromByteOffset: at, as: UInt64.self), radix: 16)
      }
      found.append("RAM at offset 0x\(String(at, radix: 16)): \(words)")
    }
    return found
  }
}
