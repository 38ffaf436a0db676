import Engine
import GuestKernel
import Machine
import RISCV

/// A random user program: signal handlers that send it back into its own code, then random code.
struct RandomProgram {
  static let code: UInt64 = 0x1_0000
  static let codeSize = 0x3000
  static let handler: UInt64 = 0x2_0000
  static let data: UInt64 = 0x3_0000

  var file: [UInt8] = []

  init(_ random: inout FuzzRandom) {
    var mix = CodeMix()
    mix.registers = [1, 2, 3, 0xc00, 0xc01, 0xc02, 0x100, 0x180]
    mix.calls = (0..<300).map { UInt64($0) }
    // An end of everything is rare, as is signalling oneself to death.
    mix.calls.removeAll { [93, 94, 129, 130, 131].contains($0) && !random.once(in: 8) }
    let stack: UInt64 = 0x3f_ffff_e000
    mix.arguments =
      [Self.code, Self.data, Self.data + 64, Self.data + 0xff8, Self.data + 0x1000, Self.handler]
      + [stack, 0xffff_ffd0_0000_0000, .max, UInt64(bitPattern: -100)]
      + (0..<16).map { Self.data + 0x100 + $0 * 32 }
    let body = random.code(Self.codeSize, mix)
    var data = random.bytes(0x1000)
    for (index, name) in [
      "/proc/self/maps", "/dev/zero", "/tmp/a", "..", "/bin/program", "/proc/self/fd/0", "/dev/tty",
      "/proc/self/exe", "/tmp", "a/b/c", "", "/proc/self/stat", "/dev/urandom", "/tmp/../tmp/b",
      "/", "/proc",
    ].enumerated() {
      for (at, byte) in (Array(name.utf8) + [0]).enumerated() {
        data[0x100 + index * 32 + at] = byte
      }
    }
    func flags() -> UInt32 { random.pick([7, 7, 7, 6, 5, 4, UInt32(random.below(8))]) }
    let entry = Self.handler + 0x800
    let segments: [FuzzELF.Segment] = [
      .init(
        address: Self.code, bytes: body, size: UInt64(Self.codeSize),
        flags: random.once(in: 4) ? 5 : 7),
      .init(
        address: Self.handler, bytes: Self.runtime(&random), size: 0x1000, flags: 7),
      .init(address: Self.data, bytes: data, size: 0x4000, flags: flags()),
    ]
    file = FuzzELF(entry: entry, segments: segments).bytes
  }

  /// The handler, and at 0x800 the start.
  private static func runtime(_ random: inout FuzzRandom) -> [UInt8] {
    var handler = CodeBuffer()
    // sc_regs.pc of the interrupted context: anywhere in the code.
    handler.csr(.csrrs, 0xc00, rd: 5)
    handler.load(6, UInt64(codeSize) / 4096 * 0xfff & ~1)
    handler.emit(.and, rd: 5, rs1: 5, rs2: 6)
    handler.load(6, code)
    handler.emit(.add, rd: 5, rs1: 5, rs2: 6)
    handler.emit(.sd, rs1: 12, rs2: 5, imm: 176)
    // And pointers that point again.
    for (index, register) in CodeMix().pointers.enumerated() {
      handler.load(5, pointer(index, &random))
      handler.emit(.sd, rs1: 12, rs2: 5, imm: 176 + 8 * Int64(register))
    }
    handler.emit(.jalr, rs1: 1)
    var runtime = handler.bytes
    runtime += Array(repeating: 0, count: 0x700 - runtime.count)
    // struct sigaction: handler, flags (SA_SIGINFO, sometimes SA_NODEFER), mask.
    let flags: UInt64 = random.once(in: 2) ? 4 : 4 | 0x4000_0000
    for value in [Self.handler, flags, 0, 0] {
      for shift in UInt64(0)..<8 { runtime.append(UInt8(truncatingIfNeeded: value >> (8 * shift))) }
    }
    runtime += Array(repeating: 0, count: 0x800 - runtime.count)
    var start = CodeBuffer()
    for signal: UInt64 in [4, 5, 7, 8, 11] {
      start.load(10, signal)
      start.load(11, Self.handler + 0x700)
      start.load(12, 0)
      start.load(13, 8)
      start.load(17, 134)
      start.emit(.ecall)
    }
    for (index, register) in CodeMix().pointers.enumerated() {
      start.load(register, pointer(index, &random))
    }
    start.load(5, code)
    start.emit(.jalr, rs1: 5)
    return runtime + start.bytes
  }

  private static func pointer(_ index: Int, _ random: inout FuzzRandom) -> UInt64 {
    switch index {
    case 0: code + UInt64(random.below(codeSize))
    case 1: code + 0x1000 - 8
    case 2: data + 0x1000 - UInt64(random.below(16))
    case 3: data + UInt64(random.below(0x4000)) & ~7
    case 4: random.edge()
    default: data + UInt64(random.below(0x200)) * 8
    }
  }
}

extension Fuzzer {
  /// Random code in user mode.
  func user(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    weak var memory: PhysicalMemory?
    let count = try program(&random, &memory)
    if memory != nil { throw FuzzFailure(description: "the machine's RAM stays behind") }
    return count
  }

  private func program(
    _ random: inout FuzzRandom, _ memory: inout PhysicalMemory?
  ) throws(FuzzFailure) -> UInt64 {
    let program = RandomProgram(&random)
    let limit: UInt64 = random.pick([20_000, 100_000])
    let caches = random.pick(CacheModel.allCases)
    guard let machine = try? FuzzProgram(program.file, random.next(), caches: caches) else {
      throw FuzzFailure(description: "the program does not start")
    }
    memory = machine.machine.ram
    let exit = machine.machine.run(limit: limit)
    let count = machine.machine.hart.count
    if exit == .limit, count != limit {
      throw FuzzFailure(description: "stopped at \(count) and not at \(limit)")
    }
    if case .ended(.panicked(let message)) = exit {
      throw FuzzFailure(description: "the guest kernel died: \(message)")
    }
    return count
  }

  /// Random calls of the gate, with programs running between them.
  func gate(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    let program = RandomProgram(&random)
    guard let machine = try? FuzzProgram(program.file, random.next()) else {
      throw FuzzFailure(description: "the program does not start")
    }
    let hart = machine.machine.hart
    _ = machine.machine.run(limit: UInt64(random.below(30_000)))
    var calls: UInt64 = 0
    for _ in 0..<40 {
      let kept = (10..<18).map { hart.x[$0] }
      hart.x[17] = 0x0945_4d55
      hart.x[16] = random.once(in: 20) ? random.edge() : UInt64(random.below(14))
      for register in 10..<15 {
        switch random.below(5) {
        case 0: hart.x[register] = random.edge()
        case 1: hart.x[register] = hart.x[random.below(32)]
        case 2: hart.x[register] = hart.x[2] &- UInt64(random.below(512)) * 8
        case 3: hart.x[register] = UInt64(random.below(300))
        default: hart.x[register] = machine.machine.kernel.current?.block.va ?? 0
        }
      }
      machine.machine.call(from: hart)
      calls += 1
      if random.once(in: 2) {
        for (index, value) in kept.enumerated() { hart.x[10 + index] = value }
      }
      _ = machine.machine.run(limit: hart.count &+ UInt64(random.below(2000)))
    }
    return calls
  }
}
