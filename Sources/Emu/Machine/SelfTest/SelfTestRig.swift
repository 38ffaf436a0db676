import CKernelImages
import Engine
import GuestKernel
import Image
import Probes

/// A machine for one test.
final class SelfTestRig {
  let machine: ProgramMachine
  let probes: ProbeSubsystem
  let program: ELFFile
  let architecture: ProgramArchitecture
  private(set) var failures: [String] = []
  private(set) var notes: [String] = []
  private(set) var messages: [String] = []
  private let host = SilentHost()
  private var isStarted = false

  /// Where the program is in the guest.
  static let path = "/selftest"

  init(_ architecture: ProgramArchitecture, _ caches: CacheModel) throws {
    self.architecture = architecture
    var configuration = ProgramConfiguration()
    configuration.architecture = architecture
    configuration.memory = 64 << 20
    configuration.cacheModel = caches
    machine = try ProgramMachine(configuration, host: host) { false }
    probes = ProbeSubsystem(kernel: machine.kernel, isa: machine.isa.makeProbeISA())
    let bytes = Self.program(architecture)
    program = try ELFFile(bytes)
    try machine.kernel.vfs.installProgram(Path(Self.path), HostBytes(bytes))
    machine.log = { [unowned self] in messages.append($0) }
  }

  private static func program(_ architecture: ProgramArchitecture) -> [UInt8] {
    switch architecture {
    case .riscv64:
      Array(
        UnsafeRawBufferPointer(
          start: emu_selftest_riscv64_bytes(), count: Int(emu_selftest_riscv64_size())))
    case .x86_64:
      Array(
        UnsafeRawBufferPointer(
          start: emu_selftest_x86_64_bytes(), count: Int(emu_selftest_x86_64_size())))
    }
  }

  // MARK: Checks

  /// Notes a failure where `condition` does not hold.
  func expect(_ condition: Bool, _ text: @autoclosure () -> String) {
    if !condition { failures.append(text()) }
  }

  /// Notes a failure where two values differ.
  func expect<T: Equatable>(_ value: T, is wanted: T, _ what: String) {
    if value != wanted { failures.append("\(what): \(value), not \(wanted)") }
  }

  /// Adds a line to the report.
  func note(_ text: String) { notes.append(text) }

  /// Notes a failure unless a registration is refused with this errno.
  func refused(_ errno: Errno, _ what: String, _ body: () throws -> Void) {
    do {
      try body()
      failures.append("\(what) was not refused")
    } catch let error as ProbeError {
      expect(error.errno, is: errno, what)
    } catch {
      failures.append("\(what): \(error)")
    }
  }

  // MARK: Running

  /// Has the program run in a mode, and checks that none of its results is wrong.
  func run(_ mode: String, count: Int = 1) throws {
    if !isStarted { try start(mode, count) }
    let exit = machine.run(limit: 2_000_000_000)
    expect(exit == .ended(.exited(0)), "the guest ended with \(exit)")
  }

  /// Makes the program ready; probes may then find it mapped.
  func start(_ mode: String, _ count: Int = 1) throws {
    let arguments = ["selftest", mode, "\(count)"]
    isStarted = true
    try machine.start(
      BootRequest(
        path: Array(Self.path.utf8), arguments: arguments.map { Array($0.utf8) }))
  }

  /// Has the kernel run its probe targets once: they take the place of a system call.
  func runTargets(count: Int = 1) throws {
    let entry = try symbol("run_probe_targets")
    _ = try probes.registerKprobe(
      KprobeRequest(.symbol("__do_sys_getpid"), pre: { _ in .redirect(entry) }))
    try run("k", count: count)
  }

  // MARK: Places

  /// The address of a kernel symbol.
  func symbol(_ name: String) throws -> UInt64 {
    guard let address = machine.kernel.symbol(name) else {
      throw ProbeError(.ENOENT, "no symbol \(name)")
    }
    return address
  }

  /// Where a function of the program is in its file.
  func function(_ name: String) throws -> UInt64 {
    guard let found = program.symbols.symbol(name),
      let offset = program.fileOffset(found.address)
    else { throw ProbeError(.ENOENT, "no symbol \(name)") }
    return offset
  }

  /// A probe on each instruction of the program, or of one of its functions, that takes one.
  func everyInsn(of name: String? = nil) -> [Uprobe] {
    let function = name.flatMap { program.symbols.symbol($0) }
    var made: [Uprobe] = []
    let range = function.map { $0.address..<$0.address &+ $0.size }
    InsnSweep(program, probes.isa, in: range).visit { address, _ in
      guard let offset = program.fileOffset(address),
        let probe = try? probes.registerUprobe(
          UprobeRequest(file, offset: offset, entry: { _ in .continue }))
      else { return }
      made.append(probe)
    }
    return made
  }

  /// The program's file.
  var file: ProbedFile { .path(Self.path) }
}
