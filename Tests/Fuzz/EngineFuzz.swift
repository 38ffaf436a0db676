import Engine
import Foundation
import Machine
import RISCV

extension JITOptions {
  /// The JIT with one fast path or the other made rare: one-entry TLB, one register, blocks of one
  /// instruction, a few KiB of code, nothing inline, no chains.
  static func forced(_ random: inout FuzzRandom) -> JITOptions {
    var options = JITOptions()
    options.threshold = random.pick([1, 1, 1, 2, 5])
    options.unitBlocks = random.pick([16, 16, 16, 1, 2, 4])
    switch random.below(12) {
    case 0: options.singleTLBEntry = true
    case 1: options.registers = 1
    case 2: options.registers = random.below(9)
    case 3: options.maxInsns = 1
    case 4: options.maxInsns = 1 + random.below(6)
    case 5: options.codeBytes = 1 << 14
    case 6: options.codeBytes = 1 << 13
    case 7: options.inlineTLB = false
    case 8: options.chains = false
    case 9: options.nativeFloat = false
    default: break
    }
    return options
  }
}

/// A board with a loop of random instructions that mostly do not trap: what a JIT makes fast.
struct RandomLoop {
  private static let ram = BoardMap.ramBase
  private static let handler = ram + 0x1000
  private static let code = ram + 0x2000
  private static let function = ram + 0x4000
  private static let pool = ram + 0x6000
  private static let data = ram + 0x8000
  private static let root = ram + 0x1_0000
  static let ramSize: UInt64 = 0x2_0000

  private static let pointers: [UInt8] = [8, 9, 18, 19]
  private static let work: [UInt8] = [1, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 20, 21, 24, 25, 0]

  let pieces: [(pa: UInt64, bytes: [UInt8])]

  init(_ random: inout FuzzRandom) {
    let paged = random.once(in: 2)
    var loop = CodeBuffer()
    let patches = random.once(in: 8)
    let length = random.pick([4, 12, 40, 100])
    for _ in 0..<length { Self.insn(&loop, &random, patches: patches) }
    loop.emit(.addi, rd: 27, rs1: 27, imm: 1)
    let back = -Int64(loop.bytes.count)
    if back >= -4096, !random.once(in: 4) {
      loop.emit(random.pick([.bne, .bltu]), rs1: 0, rs2: 27, imm: back)
      loop.emit(.jal, imm: back - 4)
    } else {
      loop.emit(.jal, imm: back)
    }
    var function = CodeBuffer()
    for _ in 0..<random.below(6) { Self.compute(&function, &random) }
    function.emit(.jalr, rs1: 26)
    pieces = [
      (Self.ram, Self.start(&random, paged: paged)), (Self.handler, Self.handlerCode()),
      (Self.code, loop.bytes), (Self.function, function.bytes), (Self.pool, Self.values(&random)),
      (Self.data, random.bytes(0x3000)), (Self.root, Self.tables()),
    ]
  }

  func machine(_ engine: BackEnd, _ options: JITOptions, _ caches: CacheModel) -> BareMachine? {
    var configuration = BareConfiguration()
    configuration.memory = Self.ramSize
    configuration.engine = engine
    configuration.jit = options
    configuration.cacheModel = caches
    guard let machine = BareMachine(configuration, console: FuzzConsole(), startOfRun: 0) else {
      return nil
    }
    // The devicetree may take the place of the start of a RAM as small as this.
    machine.enterMachineMode(Self.ram)
    for piece in pieces { machine.ram.write(piece.pa, piece.bytes) }
    return machine
  }

  private static func start(_ random: inout FuzzRandom, paged: Bool) -> [UInt8] {
    var code = CodeBuffer()
    code.load(5, handler)
    code.csr(.csrrw, 0x305, rs1: 5)
    code.load(5, .max >> 10)
    code.csr(.csrrw, 0x3b0, rs1: 5)
    code.load(5, 0x1f)
    code.csr(.csrrw, 0x3a0, rs1: 5)
    code.load(5, paged ? 8 << 60 | root >> 12 : 0)
    code.csr(.csrrw, 0x180, rs1: 5)
    // Floating point on, clean or dirty; back to supervisor mode.
    code.load(5, 0x4_0000 | (paged ? 0x800 : 0x1800) | random.pick([0x2000, 0x6000, 0x6000]))
    code.csr(.csrrw, 0x300, rs1: 5)
    code.load(5, random.pick([0, 1, 1, 1, UInt64(random.below(256))]))
    code.csr(.csrrw, 3, rs1: 5)
    code.load(9, pool)
    for register in UInt8(0)..<32 {
      code.emit(.fld, rd: register, rs1: 9, imm: Int64(random.below(128) * 8))
    }
    for register in work where register != 0 {
      code.emit(.ld, rd: register, rs1: 9, imm: Int64(random.below(256) * 8))
    }
    code.load(8, data + 0x800)
    code.load(18, data + 0x1000 - UInt64(random.below(16)))
    code.load(19, self.code + UInt64(random.below(8)) * 4)
    code.load(27, 0)
    code.load(28, self.code)
    code.csr(.csrrw, 0x341, rs1: 28)
    code.emit(.mret)
    return code.bytes
  }

  /// Skips what trapped; a fetch that faults begins the loop again.
  private static func handlerCode() -> [UInt8] {
    var code = CodeBuffer()
    code.csr(.csrrs, 0x342, rd: 31)
    code.csr(.csrrs, 0x341, rd: 30)
    code.emit(.addi, rd: 30, rs1: 30, imm: 4)
    // Causes 1 and 12 aside.
    code.emit(.addi, rd: 29, rs1: 0, imm: 1)
    code.emit(.beq, rs1: 31, rs2: 29, imm: 12)
    code.emit(.addi, rd: 29, rs1: 0, imm: 12)
    code.emit(.bne, rs1: 31, rs2: 29, imm: 24)
    code.load(30, Self.code)
    code.csr(.csrrw, 0x341, rs1: 30)
    code.load(9, pool)
    code.load(8, data + 0x800)
    code.emit(.mret)
    return code.bytes
  }

  /// Everything mapped one to one but the data pages, which change places.
  private static func tables() -> [UInt8] {
    var pages = [[UInt64]](repeating: Array(repeating: 0, count: 512), count: 3)
    func entry(_ pa: UInt64, _ flags: UInt64) -> UInt64 { (pa >> 12) << 10 | flags }
    pages[0][2] = entry(root + 4096, 1)
    pages[1][0] = entry(root + 8192, 1)
    for page in 0..<UInt64(32) {
      let to: UInt64 = page == 8 ? 9 : page == 9 ? 8 : page
      pages[2][Int(page)] = entry(ram + to * 4096, page == 10 ? 0x43 : 0xcf)
    }
    return pages.flatMap { $0 }.flatMap { entry in
      (UInt64(0)..<8).map { UInt8(truncatingIfNeeded: entry >> (8 * $0)) }
    }
  }

  /// Floating-point values where rules change, and plain ones.
  private static func values(_ random: inout FuzzRandom) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<512 {
      var value: UInt64
      switch random.below(12) {
      case 0: value = random.edge()
      case 1, 10:
        value = random.pick([
          0, 1 << 63, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48, 0x7ff0 << 48 | 1, 0x10 << 48,
          0xf_ffff_ffff_ffff, 1, 0x10 << 48, 0x3fef_ffff_ffff_ffff, 0x3fef_ffff_ffff_ffff,
          0x7fef_ffff_ffff_ffff, 0x0020 << 48, 0x3ff0 << 48,
        ])
      case 2, 3:
        let single: UInt32 = random.pick([
          0, 1 << 31, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001, 0x80_0000, 1, 0x7f7f_ffff,
          0x3f80_0000, 0x3fc0_0000, UInt32(truncatingIfNeeded: random.next()),
        ])
        value = 0xffff_ffff << 32 | UInt64(single)
      case 4, 5:
        let number = Float(random.below(2000) - 1000) / Float(1 + random.below(16))
        value = 0xffff_ffff << 32 | UInt64(number.bitPattern)
      case 6: value = Double(random.below(2000) - 1000).bitPattern
      default: value = (Double(random.below(200_000) - 100_000) / 1024.7).bitPattern
      }
      if random.once(in: 16) { value ^= 1 << UInt64(random.below(64)) }
      for shift in UInt64(0)..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * shift))) }
    }
    return bytes
  }

  private static let integers = RISCV.Op.allCases.filter { op in
    guard let row = Encodings.allRows.first(where: { $0.op == op && $0.length == 4 }) else {
      return false
    }
    return row.traits.isDisjoint(with: [
      .load, .store, .atomic, .branch, .jump, .csr, .system, .fence, .fp,
    ])
  }
  private static let floats = RISCV.Op.allCases.filter { op in
    guard let row = Encodings.allRows.first(where: { $0.op == op && $0.length == 4 }) else {
      return false
    }
    return row.traits.contains(.fp) && row.traits.isDisjoint(with: [.load, .store])
  }
  private static let hotFloats: [RISCV.Op] = [
    .fadd_d, .fsub_d, .fmul_d, .fdiv_d, .fmadd_d, .fmsub_d, .fnmsub_d, .fnmadd_d, .fadd_s, .fmul_s,
    .fsub_s, .fmadd_s, .fsqrt_d, .flt_d, .fle_d, .feq_d, .fsgnj_d, .fsgnjn_d, .fsgnjx_d, .fcvt_d_w,
    .fcvt_w_d, .fcvt_l_d, .fcvt_d_l, .fcvt_s_d, .fcvt_d_s, .fmin_d, .fmax_d,
  ]

  private static func compute(_ code: inout CodeBuffer, _ random: inout FuzzRandom) {
    for _ in 0..<20 {
      let insn = Insn(
        op: random.pick(integers), rd: random.pick(work), rs1: random.pick(work),
        rs2: random.pick(work), imm: Int64(random.pick([0, 1, 31, 63, -1, 255, 2047, -2048])))
      var plain = insn
      plain.rs2 = 0
      for insn in [insn, plain] {
        if let bits = Encoder.encode(insn) {
          code.append(bits, length: 4)
          return
        }
      }
    }
    code.emit(.add, rd: random.pick(work), rs1: random.pick(work), rs2: random.pick(work))
  }

  private static func float(_ code: inout CodeBuffer, _ random: inout FuzzRandom) {
    for _ in 0..<20 {
      let op = random.once(in: 3) ? random.pick(floats) : random.pick(hotFloats)
      var insn = Insn(
        op: op, rd: UInt8(random.below(10)), rs1: UInt8(random.below(10)),
        rs2: UInt8(random.below(10)), rs3: UInt8(random.below(10)),
        rm: random.pick([0, 7, 7, 7, 1, UInt8(random.below(8))]))
      if let row = Encodings.allRows.first(where: { $0.op == op }), row.rdKind == .x {
        insn.rd = random.pick(work)
      }
      var plain = insn
      plain.rs3 = 0
      var plainer = plain
      plainer.rs2 = 0
      var plainest = plainer
      plainest.rm = 0
      for insn in [insn, plain, plainer, plainest] {
        if let bits = Encoder.encode(insn) {
          code.append(bits, length: 4)
          return
        }
      }
    }
  }

  private static func insn(
    _ code: inout CodeBuffer, _ random: inout FuzzRandom, patches: Bool
  ) {
    switch random.below(100) {
    case 0..<35: compute(&code, &random)
    case 35..<60: float(&code, &random)
    case 60..<68:
      code.emit(.fld, rd: UInt8(random.below(10)), rs1: 9, imm: Int64(random.below(256) * 8))
    case 68..<84: access(&code, &random)
    case 84..<88:
      code.emit(
        random.pick([.beq, .bne, .blt, .bge, .bltu, .bgeu]), rs1: random.pick(work),
        rs2: random.pick(work), imm: Int64(4 + 4 * random.below(6)))
    case 88..<91:
      let number = Int64(1 + random.below(3))
      if random.once(in: 3) {
        code.csr(random.pick([.csrrw, .csrrs, .csrrc]), number, rd: 6, rs1: random.pick(work))
      } else {
        code.csr(.csrrwi, number, rd: random.pick(work), rs1: number == 1 ? 1 : 0)
      }
    case 91, 92: code.emit(.sd, rs1: 18, rs2: random.pick(work), imm: Int64(random.below(16) - 8))
    case 93: code.emit(.amoadd_d, rd: random.pick(work), rs1: 8, rs2: random.pick(work))
    case 94 where random.once(in: 6):
      code.emit(random.pick([.ebreak, .fence, .fence_i, .ecall]))
    case 95 where patches: code.emit(.sw, rs1: 19, rs2: random.pick(work), imm: 16)
    case 95..<98:
      code.load(26, function)
      code.emit(.jalr, rd: 26, rs1: 26)
    default:
      code.emit(.addi, rd: random.pick([8, 8, 18]), rs1: 8, imm: Int64(8 * (random.below(3) - 1)))
    }
  }

  private static func access(_ code: inout CodeBuffer, _ random: inout FuzzRandom) {
    let base = random.once(in: 100) ? random.pick(work) : random.pick([8, 18, 18, 9])
    // Often around the end of a page, which the next one does not follow.
    let imm =
      random.once(in: 2)
      ? Int64(random.below(32) - 16) : Int64(random.below(256) * 8 - 1024 + random.pick([0, 3]))
    switch random.below(6) {
    case 0, 1:
      code.emit(
        random.pick([.lb, .lbu, .lh, .lhu, .lw, .lwu, .ld, .ld]), rd: random.pick(work), rs1: base,
        imm: imm)
    case 2: code.emit(random.pick([.fld, .flw]), rd: UInt8(random.below(10)), rs1: base, imm: imm)
    case 3 where base != 9:
      code.emit(random.pick([.fsd, .fsw]), rs1: base, rs2: UInt8(random.below(10)), imm: imm)
    default:
      if base != 9 {
        code.emit(
          random.pick([.sb, .sh, .sw, .sd, .sd]), rs1: base, rs2: random.pick(work), imm: imm)
      }
    }
  }
}

extension Fuzzer {
  /// The same on the interpreter and on the JIT, stopped at random counts.
  ///
  /// - Returns: the stops.
  func engine(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    switch random.below(12) {
    case 8...: return try x86Engines(&random)
    case 0: return try programEngines(&random)
    case 1, 2:
      // Stale caches depend on what was fetched ahead, which is not architecture.
      let board = RandomBoard(&random, caches: .coherent)
      let quantum = UInt64(random.pick([1, 7, 100, 1000]))
      let options = JITOptions.forced(&random)
      return try engines(
        board.machine(FuzzConsole(), quantum: quantum, engine: .interpreter),
        board.machine(FuzzConsole(), quantum: quantum, engine: .jit, jit: options), &random,
        limit: random.pick([2000, 10_000]))
    default:
      let loop = RandomLoop(&random)
      let options = JITOptions.forced(&random)
      return try engines(
        loop.machine(.interpreter, options, .coherent), loop.machine(.jit, options, .coherent),
        &random, limit: random.pick([2000, 10_000, 30_000]))
    }
  }

  private func engines(
    _ one: BareMachine?, _ other: BareMachine?, _ random: inout FuzzRandom, limit: UInt64
  ) throws(FuzzFailure) -> UInt64 {
    guard let one, let other else { throw FuzzFailure(description: "no boards") }
    var stops: UInt64 = 0
    let slices = random.pick([1, 3, 20, 100, 700])
    let observed = random.once(in: 12)
    if observed {
      let counter = PathHash()
      for hart in other.harts { hart.observe(counter) }
    }
    while one.count < limit {
      let target = min(one.count &+ UInt64(1 + random.below(slices)), limit)
      let exits = (one.run(limit: target), other.run(limit: target))
      stops += 1
      guard exits.0 == exits.1, one.count == other.count else {
        throw FuzzFailure(
          description: "\(exits.1) at \(other.count) and not \(exits.0) at \(one.count)")
      }
      for (hart, twin) in zip(one.harts, other.harts) { try sameState(hart, twin) }
      if stops & 31 == 0 { try compare(one.ram, other.ram, "at \(one.count)") }
      if random.once(in: 64) {
        for hart in one.harts + other.harts { hart.flushTLB() }
      }
      if exits.0 != .limit { break }
    }
    try compare(one.ram, other.ram, "at \(one.count)")
    return stops
  }

  private func programEngines(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    let program = RandomProgram(&random)
    let seed = random.next()
    let options = JITOptions.forced(&random)
    guard let one = try? FuzzProgram(program.file, seed, engine: .interpreter),
      let other = try? FuzzProgram(program.file, seed, engine: .jit, jit: options)
    else { throw FuzzFailure(description: "the program does not start") }
    let limit: UInt64 = random.pick([5000, 30_000])
    let slices = random.pick([3, 50, 700])
    var stops: UInt64 = 0
    while one.machine.hart.count < limit {
      let target = min(one.machine.hart.count &+ UInt64(1 + random.below(slices)), limit)
      let exits = (one.machine.run(limit: target), other.machine.run(limit: target))
      stops += 1
      guard exits.0 == exits.1 else {
        throw FuzzFailure(description: "program: \(exits.1) and not \(exits.0)")
      }
      try sameState(one.machine.hart, other.machine.hart)
      if exits.0 != .limit { break }
    }
    if one.host.hash != other.host.hash {
      throw FuzzFailure(description: "program: the output differs")
    }
    try compare(one.machine.ram, other.machine.ram, "program")
    return stops
  }

  /// Compares what the guest can see of two harts, in bulk where that is enough.
  private func sameState(_ one: Hart, _ other: Hart) throws(FuzzFailure) {
    let ranges = [0..<Slot.temp, Slot.fp..<Slot.pending, Slot.system..<Slot.total]
    let same = ranges.allSatisfy {
      memcmp(one.x + $0.lowerBound, other.x + $0.lowerBound, $0.count * 8) == 0
    }
    if same, one.count == other.count, one.pc == other.pc,
      one.x[Slot.exceptions] == other.x[Slot.exceptions],
      one.x[Slot.reservation] == other.x[Slot.reservation]
    {
      return
    }
    try compare(one, other, "hart \(one.index) at \(one.count), blocks \(other.blocksTranslated)")
  }

  /// An observer whose calls must not change anything.
  private final class PathHash: InsnObserver {
    var hash: UInt64 = 0
    func willExecute(_ pc: UInt64, on hart: Hart) { hash = (hash ^ pc) &* 0x100_0000_01b3 }
  }
}
