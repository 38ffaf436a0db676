import Engine
import Foundation
import Machine
import RISCV

/// Random memory for a bare board: a start that sets up random state, trap handlers that go on
/// somewhere in random code, page tables, virtqueues.
struct RandomBoard {
  static let ram = BoardMap.ramBase
  static let machineHandler = ram + 0x2000
  static let supervisorHandler = ram + 0x3000
  static let code = ram + 0x1_0000
  static let codeSize = 0x4000
  static let data = ram + 0x2_0000
  static let queue = ram + 0x3_0000
  static let root = ram + 0x4_0000
  static let ramSize: UInt64 = 0x8_0000

  private static let registers: [Int64] = [
    1, 2, 3, 0xc00, 0xc01, 0xc02, 0x100, 0x104, 0x105, 0x106, 0x140, 0x141, 0x142, 0x143, 0x144,
    0x14d, 0x180, 0x180, 0x300, 0x300, 0x302, 0x303, 0x304, 0x305, 0x306, 0x30a, 0x320, 0x341,
    0x344, 0x3a0, 0x3a2, 0x3b0, 0x3b1, 0x3b2, 0x3bf, 0xb00, 0xb02,
  ]

  let harts: Int
  let supervisor: Bool
  let caches: CacheModel
  let modern: Bool
  let pieces: [(pa: UInt64, bytes: [UInt8])]
  let disk: [UInt8]

  init(_ random: inout FuzzRandom, caches: CacheModel) {
    harts = random.pick([1, 1, 2, 3])
    supervisor = random.once(in: 3)
    modern = random.once(in: 2)
    self.caches = caches
    disk = random.bytes(4096)
    var mix = CodeMix()
    mix.registers = Self.registers
    mix.calls = [
      0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x5449_4d45, 0x73_5049, 0x5246_4e43, 0x48_534d, 0x4442_434e,
    ]
    mix.arguments = [Self.code, Self.data, Self.root, 1, 2, .max]
    pieces = [
      (Self.ram, supervisor ? [] : Self.start(&random)),
      (Self.machineHandler, Self.handler(&random, machine: true)),
      (Self.supervisorHandler, Self.handler(&random, machine: false)),
      (Self.code, random.code(Self.codeSize, mix)),
      (Self.data, random.bytes(0x2000)),
      (Self.queue, Self.virtqueue(&random)),
      (Self.root, Self.tables(&random)),
    ]
  }

  var entry: UInt64 { supervisor ? Self.supervisorHandler : Self.ram }

  func machine(
    _ console: FuzzConsole, quantum: UInt64, engine: BackEnd = .standard,
    jit: JITOptions = JITOptions()
  ) -> BareMachine? {
    var configuration = BareConfiguration()
    configuration.engine = engine
    configuration.jit = jit
    configuration.memory = Self.ramSize
    configuration.harts = harts
    configuration.cacheModel = caches
    configuration.quantum = quantum
    configuration.drives = [MemoryBlockBackend(disk)]
    configuration.virtIO = modern ? .modern : .legacy
    guard let machine = BareMachine(configuration, console: console, startOfRun: 0) else {
      return nil
    }
    for piece in pieces { machine.ram.write(piece.pa, piece.bytes) }
    if supervisor {
      machine.enterSupervisorMode(entry)
    } else {
      machine.enterMachineMode(entry)
    }
    return machine
  }

  private static func pointer(_ index: Int, _ random: inout FuzzRandom) -> UInt64 {
    switch index {
    case 0: code &+ UInt64(random.below(codeSize))
    case 1: random.pick([code + 0x1000 - 4, root + UInt64(random.below(512)) * 8])
    case 2: random.pick([data + 0x1000 - UInt64(random.below(9)), ram + ramSize - 4])
    case 3:
      random.pick([
        BoardMap.clint.base, BoardMap.clint.base + 0x4000, BoardMap.clint.base + 0xbff8,
        BoardMap.plic.base + UInt64(random.below(64)), BoardMap.plic.base + 0x20_0000,
        BoardMap.uart.base, BoardMap.rtc.base, random.edge(),
      ])
    case 4: BoardMap.virtIO(0).base + UInt64(random.below(0x40)) * 4
    case 5: queue + UInt64(random.below(0x200)) * 8
    case 6: random.once(in: 8) ? BoardMap.finisher.base : data + UInt64(random.below(64)) * 8
    default: random.edge()
    }
  }

  private static func pointers(_ code: inout CodeBuffer, _ random: inout FuzzRandom) {
    for (index, register) in CodeMix().pointers.enumerated() {
      code.load(register, pointer(index, &random))
    }
  }

  private static func rootValue(_ random: inout FuzzRandom) -> UInt64 {
    switch random.below(6) {
    case 0: 0
    case 1: random.edge()
    case 2: 9 << 60 | (root >> 12) + 3
    default: 8 << 60 | UInt64(random.below(3)) << 44 | root >> 12
    }
  }

  private static func protection(_ code: inout CodeBuffer, _ random: inout FuzzRandom) {
    // Everything allowed by the last entry, exceptions to that before it.
    code.load(5, .max >> 10)
    code.csr(.csrrw, 0x3bf, rs1: 5)
    code.load(5, 0x1f << 56)
    code.csr(.csrrw, 0x3a2, rs1: 5)
    guard random.once(in: 2) else { return }
    var configuration: UInt64 = 0
    for entry in 0..<4 {
      let base = random.pick([Self.code, data, root, ram, queue]) &+ UInt64(random.below(0x1000))
      let size = UInt64(random.pick([3, 7, 31, 511, 1023, 4095]))
      code.load(5, base >> 2 & ~(size >> 1) | size >> 1)
      code.csr(.csrrw, 0x3b0 + Int64(entry), rs1: 5)
      let kind: UInt64 = random.pick([0, 0x08, 0x10, 0x18, 0x18])
      let lock: UInt64 = random.once(in: 6) ? 0x80 : 0
      configuration |= (kind | random.pick([0, 1, 3, 5, 7, 7]) | lock) << UInt64(8 * entry)
    }
    code.load(5, configuration)
    code.csr(.csrrw, 0x3a0, rs1: 5)
  }

  private static func start(_ random: inout FuzzRandom) -> [UInt8] {
    var code = CodeBuffer()
    code.load(5, machineHandler)
    code.csr(.csrrw, 0x305, rs1: 5)
    code.load(5, supervisorHandler)
    code.csr(.csrrw, 0x105, rs1: 5)
    protection(&code, &random)
    for number: Int64 in [0x302, 0x303, 0x304, 0x306, 0x30a, 0x106] {
      code.load(5, random.pick([0, .max, random.next()]))
      code.csr(.csrrw, number, rs1: 5)
    }
    code.load(5, rootValue(&random))
    code.csr(.csrrw, 0x180, rs1: 5)
    // FS, MPP, MPRV, SUM, MXR and interrupts at random.
    code.load(5, random.next() & 0x7f_fff0 | random.pick([0, 0xa]))
    code.csr(.csrrw, 0x300, rs1: 5)
    pointers(&code, &random)
    code.load(5, Self.code)
    code.csr(.csrrw, 0x341, rs1: 5)
    if random.once(in: 2) { code.emit(.mret) } else { code.emit(.jalr, rs1: 5) }
    return code.bytes
  }

  private static func handler(_ random: inout FuzzRandom, machine: Bool) -> [UInt8] {
    var code = CodeBuffer()
    if !machine {
      // It is where a supervisor is entered, too.
      code.load(5, supervisorHandler)
      code.csr(.csrrw, 0x105, rs1: 5)
      if random.once(in: 3) {
        code.load(5, rootValue(&random))
        code.csr(.csrrw, 0x180, rs1: 5)
      }
    }
    code.csr(.csrrs, machine ? 0xb00 : 0xc00, rd: 31)
    code.emit(.slli, rd: 30, rs1: 31, imm: 64 - 14)
    code.emit(.srli, rd: 30, rs1: 30, imm: 64 - 14)
    code.emit(.andi, rd: 30, rs1: 30, imm: -2)
    code.load(29, Self.code)
    code.emit(.add, rd: 30, rs1: 30, rs2: 29)
    code.csr(.csrrw, machine ? 0x341 : 0x141, rs1: 30)
    // The mode to return to follows from the count.
    code.load(29, machine ? 0x1800 : 0x100)
    code.csr(.csrrc, machine ? 0x300 : 0x100, rs1: 29)
    code.emit(.slli, rd: 28, rs1: 31, imm: machine ? 9 : 5)
    code.emit(.and, rd: 28, rs1: 28, rs2: 29)
    code.csr(.csrrs, machine ? 0x300 : 0x100, rs1: 28)
    pointers(&code, &random)
    if random.once(in: 2) {
      // A clean floating-point state.
      code.load(29, 0x6000)
      code.csr(.csrrc, machine ? 0x300 : 0x100, rs1: 29)
      code.load(29, 0x2000 * UInt64(random.below(4)))
      code.csr(.csrrs, machine ? 0x300 : 0x100, rs1: 29)
    }
    code.emit(machine ? .mret : .sret)
    return code.bytes
  }

  /// A root whose entry for RAM is a gigapage or leads to more tables, with errors here and there.
  private static func tables(_ random: inout FuzzRandom) -> [UInt8] {
    var pages = [[UInt64]](repeating: Array(repeating: 0, count: 512), count: 4)
    func flags() -> UInt64 {
      random.once(in: 8)
        ? random.next() & 0x3ff
        : random.pick([0xcf, 0xdf, 0xcf, 0xdf, 0x0f, 0x1f, 0x4b, 0xc7, 0xef])
    }
    func leaf(_ pa: UInt64) -> UInt64 { (pa >> 12) << 10 | flags() }
    func table(_ index: Int) -> UInt64 { ((root + UInt64(index) * 4096) >> 12) << 10 | 1 }
    // Devices, one to one.
    pages[0][0] = random.once(in: 4) ? leaf(0) : 0xc7 | (random.once(in: 2) ? 16 : 0)
    pages[0][2] = random.once(in: 2) ? leaf(ram) : table(1)
    pages[0][random.below(512)] = random.once(in: 2) ? table(0) : random.next()
    pages[1][0] = random.once(in: 3) ? leaf(ram) : table(2)
    pages[1][1] = leaf(ram)
    for page in 0..<128 {
      let from = random.once(in: 8) ? UInt64(random.below(130)) : UInt64(page)
      pages[2][page] = leaf(ram + from * 4096)
    }
    pages[3][0] = table(0)
    pages[3][511] = random.next()
    return pages.flatMap { $0 }.flatMap { entry in
      (UInt64(0)..<8).map { UInt8(truncatingIfNeeded: entry >> (8 * $0)) }
    }
  }

  /// Descriptors that mostly lead into RAM, and rings.
  private static func virtqueue(_ random: inout FuzzRandom) -> [UInt8] {
    var bytes = random.bytes(0x2000)
    for descriptor in 0..<64 {
      let at = descriptor * 16
      let pa = random.once(in: 8) ? random.edge() : data + UInt64(random.below(0x2000))
      let length = random.once(in: 8) ? random.edge() : random.pick([16, 512, 1, 513])
      let fields: [(UInt64, Int)] = [
        (pa, 8), (length, 4), (UInt64(random.below(8)), 2), (UInt64(random.below(66)), 2),
      ]
      var offset = at
      for (value, count) in fields {
        for index in 0..<count {
          bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        }
        offset += count
      }
    }
    return bytes
  }
}

extension Fuzzer {
  /// Random code in machine and supervisor mode.
  func bare(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    weak var memory: PhysicalMemory?
    let count = try board(&random, &memory)
    if memory != nil { throw FuzzFailure(description: "the board's RAM stays behind") }
    return count
  }

  private func board(
    _ random: inout FuzzRandom, _ memory: inout PhysicalMemory?
  ) throws(FuzzFailure) -> UInt64 {
    let board = RandomBoard(&random, caches: random.pick(CacheModel.allCases))
    let quantum = UInt64(random.pick([1, 7, 100, 1000]))
    guard let machine = board.machine(FuzzConsole(), quantum: quantum) else {
      throw FuzzFailure(description: "no board")
    }
    memory = machine.ram
    if random.once(in: 3) {
      machine.watchHTIF(
        tohost: RandomBoard.data + UInt64(random.below(0x1ffc)), fromhost: RandomBoard.data)
    }
    let limit: UInt64 = random.pick([10_000, 50_000])
    let exit = machine.run(limit: limit)
    if exit == .limit, machine.count != limit {
      throw FuzzFailure(description: "stopped at \(machine.count) and not at \(limit)")
    }
    return machine.count
  }

  /// The same in one go, in slices and observed.
  func budget(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    random.once(in: 4) ? try programBudget(&random) : try boardBudget(&random)
  }

  private final class Counter: InsnObserver {
    var seen: UInt64 = 0
    func willExecute(_ pc: UInt64, on hart: Hart) { seen &+= 1 }
  }

  private func boardBudget(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    // Stale caches depend on what was fetched ahead, which is not architecture.
    let board = RandomBoard(&random, caches: .coherent)
    let quantum = UInt64(random.pick([1, 7, 100, 1000]))
    let consoles = [FuzzConsole(), FuzzConsole(), FuzzConsole()]
    let machines = consoles.compactMap { board.machine($0, quantum: quantum) }
    guard machines.count == 3 else { throw FuzzFailure(description: "no boards") }
    let limit: UInt64 = random.pick([300, 3000, 20_000])
    let whole = machines[0].run(limit: limit)
    let slices = [random.pick([1, 2, 5, 50, 700]), random.pick([1, 3, 64, 999])]
    let counter = Counter()
    for hart in machines[2].harts { hart.observe(counter) }
    for (index, machine) in machines.dropFirst().enumerated() {
      var exit = BareExit.limit
      while exit == .limit, machine.count < limit {
        let step = UInt64(1 + random.below(slices[index]))
        let target = min(machine.count &+ step, limit)
        exit = machine.run(limit: target)
        guard exit != .limit || machine.count == target else {
          throw FuzzFailure(description: "stopped at \(machine.count) and not at \(target)")
        }
      }
      let how = index == 0 ? "in slices" : "observed"
      if exit != whole { throw FuzzFailure(description: "\(how): \(exit) and not \(whole)") }
      if consoles[0].hash != consoles[index + 1].hash {
        throw FuzzFailure(description: "\(how): the output differs")
      }
      for (one, other) in zip(machines[0].harts, machine.harts) {
        try compare(one, other, "\(how): hart \(one.index)")
      }
      try compare(machines[0].ram, machine.ram, how)
    }
    return machines[0].count
  }

  private func programBudget(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    let program = RandomProgram(&random)
    let seed = random.next()
    guard let one = try? FuzzProgram(program.file, seed),
      let other = try? FuzzProgram(program.file, seed)
    else { throw FuzzFailure(description: "the program does not start") }
    let limit: UInt64 = random.pick([5000, 30_000])
    let whole = one.machine.run(limit: limit)
    let slices = random.pick([3, 50, 700])
    if random.once(in: 2) { other.machine.hart.observe(Counter()) }
    var exit = ProgramExit.limit
    while exit == .limit, other.machine.hart.count < limit {
      let target = min(other.machine.hart.count &+ UInt64(1 + random.below(slices)), limit)
      exit = other.machine.run(limit: target)
      guard exit != .limit || other.machine.hart.count == target else {
        throw FuzzFailure(description: "stopped at \(other.machine.hart.count), not \(target)")
      }
    }
    if exit != whole { throw FuzzFailure(description: "program: \(exit) and not \(whole)") }
    if one.host.hash != other.host.hash {
      throw FuzzFailure(description: "program: the output differs")
    }
    try compare(one.machine.hart, other.machine.hart, "program")
    try compare(one.machine.ram, other.machine.ram, "program")
    return one.machine.hart.count
  }

  func compare(_ one: Hart, _ other: Hart, _ what: String) throws(FuzzFailure) {
    let visible = one.visible
    for (index, value) in other.visible.enumerated() where visible[index] != value {
      throw FuzzFailure(
        description: "\(what): value \(index) is 0x\(String(value, radix: 16)) and not "
          + "0x\(String(visible[index], radix: 16)), pc 0x\(String(one.pc, radix: 16))")
    }
  }

  func compare(
    _ one: PhysicalMemory, _ other: PhysicalMemory, _ what: String
  ) throws(FuzzFailure) {
    guard memcmp(one.host, other.host, Int(one.size)) != 0 else { return }
    for at in 0..<Int(one.size)
    where one.host.load(fromByteOffset: at, as: UInt8.self)
      != other.host.load(fromByteOffset: at, as: UInt8.self)
    {
      throw FuzzFailure(
        description: "\(what): RAM at 0x\(String(one.base &+ UInt64(at), radix: 16)) differs")
    }
  }
}
