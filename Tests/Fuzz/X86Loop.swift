import Engine
import X86

/// x86-64 instructions as bytes.
private struct X86Code {
  var bytes: [UInt8] = []

  /// An operand of a register or, with a base, in memory.
  struct Place {
    var register: UInt8 = 0
    var base: UInt8?
    var index: UInt8?
    var scale: UInt8 = 0
    var disp: Int32 = 0
  }

  mutating func emit(
    _ opcode: [UInt8], prefix: UInt8 = 0, wide: Bool = false, _ reg: UInt8, _ rm: Place
  ) {
    if prefix != 0 { bytes.append(prefix) }
    let low = rm.base ?? rm.register
    bytes.append(
      0x40 | (wide ? 8 : 0) | (reg >> 3 & 1) << 2 | ((rm.index ?? 0) >> 3 & 1) << 1 | low >> 3 & 1)
    bytes += opcode
    guard let base = rm.base else {
      bytes.append(0xc0 | (reg & 7) << 3 | low & 7)
      return
    }
    let needsSIB = rm.index != nil || base & 7 == 4
    bytes.append(0x80 | (reg & 7) << 3 | (needsSIB ? 4 : base & 7))
    if needsSIB { bytes.append(rm.scale << 6 | ((rm.index ?? 4) & 7) << 3 | base & 7) }
    word(rm.disp)
  }

  mutating func word(_ value: Int32) {
    for shift in stride(from: Int32(0), to: 32, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }
}

/// A loop of random x86-64 instructions that mostly do not trap, without paging.
struct X86Loop {
  private static let code: UInt64 = 0x10000
  private static let function: UInt64 = 0x11800
  private static let data: UInt64 = 0x20000
  private static let stack: UInt64 = 0x30000
  private static let size: UInt64 = 0x40000
  /// rsi, rdi, rbp and r8 point to data, r9 is a small index; rbx counts.
  private static let pointers: [UInt8] = [6, 7, 5, 8]
  private static let work: [UInt8] = [0, 0, 1, 2, 10, 11, 12, 13, 14]

  let loop: [UInt8]
  private let called: [UInt8]
  private let contents: [UInt8]
  private let registers: [UInt64]
  private let vectors: [UInt64]
  private let control: UInt64

  init(_ random: inout FuzzRandom) {
    var code = X86Code()
    let floats = random.once(in: 2)
    var insns: [X86Code] = []
    for _ in 0..<random.pick([3, 8, 20, 40]) {
      insns.append(Self.insn(&random, floats: floats))
    }
    for (number, insn) in insns.enumerated() {
      code.bytes += insn.bytes
      guard random.once(in: 6), number + 1 < insns.count, insns[number + 1].bytes.count < 120 else {
        continue
      }
      // Over the next one.
      code.bytes += [
        0x70 | UInt8(random.below(16)), UInt8(insns[number + 1].bytes.count),
      ]
    }
    // add, sub or cmp, and back.
    switch random.below(4) {
    case 0: code.bytes += [0x48, 0x83, 0xc3, 0xff, 0x0f, 0x85]
    case 1: code.bytes += [0x48, 0xff, 0xcb, 0x0f, 0x85]
    case 2: code.bytes += [0x83, 0xeb, 0x01, 0x0f, 0x83]
    default: code.bytes += [0x48, 0xff, 0xcb, 0x48, 0x83, 0xfb, 0x03, 0x0f, 0x8f]
    }
    code.word(-Int32(code.bytes.count) - 4)
    code.bytes += [0xbb, 0x40, 0, 0, 0, 0xe9]
    code.word(-Int32(code.bytes.count) - 4)
    loop = code.bytes
    var function = X86Code()
    for _ in 0..<random.below(4) { function.bytes += Self.insn(&random, floats: floats).bytes }
    called = function.bytes + [0xc3]
    var values: [UInt8] = []
    for _ in 0..<1024 {
      let value = Self.value(&random)
      for shift in UInt64(0)..<8 { values.append(UInt8(truncatingIfNeeded: value >> (8 * shift))) }
    }
    contents = values
    registers = (0..<16).map { _ in random.once(in: 2) ? random.edge() : random.next() }
    vectors = (0..<32).map { _ in Self.value(&random) }
    control = random.pick([0x1f80, 0x1f80, 0x1f80, 0x1fbf, 0x3f80, 0x1fc0, 0x9f80, 0x0f80])
  }

  private static func value(_ random: inout FuzzRandom) -> UInt64 {
    switch random.below(6) {
    case 0: return random.edge()
    case 1:
      return random.pick([
        0, 1 << 63, 0x7ff0 << 48, 0x7ff8 << 48, 0x7ff0 << 48 | 1, 1, 0x10 << 48, 0x7fef << 48,
        0x7fc0_0000_7f80_0001, 0x3f80_0000_0000_0001,
      ])
    case 2: return UInt64(Float(random.below(2000) - 1000).bitPattern) | random.next() << 32
    default: return (Double(random.below(200_000) - 100_000) / 1024.7).bitPattern
    }
  }

  // MARK: Instructions

  private static func memory(_ random: inout FuzzRandom) -> X86Code.Place {
    var place = X86Code.Place(base: random.pick(pointers))
    if random.once(in: 3) {
      place.index = 9
      place.scale = UInt8(random.below(4))
    }
    // Often around the end of a page.
    place.disp =
      random.once(in: 3)
      ? Int32(random.below(40) - 20) : Int32(random.below(64) * 8 + random.pick([0, 0, 0, 3]))
    return place
  }

  private static func operand(_ random: inout FuzzRandom) -> X86Code.Place {
    random.once(in: 3) ? memory(&random) : X86Code.Place(register: random.pick(work))
  }

  private static func insn(_ random: inout FuzzRandom, floats: Bool) -> X86Code {
    var code = X86Code()
    let wide = random.once(in: 2)
    let prefix: UInt8 = random.once(in: 8) ? 0x66 : 0
    if floats, random.once(in: 2) {
      vector(&code, &random)
      return code
    }
    let reg = random.pick(work)
    // Bytes or not.
    let v: UInt8 = random.once(in: 6) ? 0 : 1
    let short = prefix != 0 && !wide
    switch random.below(30) {
    case 0..<8:
      let op = UInt8(random.pick([0, 0, 1, 2, 3, 4, 4, 5, 5, 6, 7, 7])) << 3
      code.emit(
        [op | UInt8(random.below(2)) << 1 | v], prefix: prefix, wide: wide, reg, operand(&random))
    case 8..<12:
      code.emit([0x83], prefix: prefix, wide: wide, UInt8(random.below(8)), operand(&random))
      code.bytes.append(random.pick([0, 1, 0xff, 0x7f, 0x80, 5]))
    case 12: code.emit([0x84 | v], prefix: prefix, wide: wide, reg, operand(&random))
    case 13:
      code.emit(
        [0xf6 | v], prefix: prefix, wide: wide, UInt8(random.pick([2, 3, 3, 4, 5])),
        operand(&random))
    case 14:
      code.emit([0xfe | v], prefix: prefix, wide: wide, UInt8(random.below(2)), operand(&random))
    case 15, 16, 17:
      code.emit(
        [0xc0 | v], prefix: prefix, wide: wide, random.pick([0, 1, 4, 4, 5, 5, 7, 2]),
        operand(&random))
      code.bytes.append(random.pick([1, 1, 3, 7, 13, 31, 33, 0]))
    case 18:
      code.emit(
        [0xd2 | v], prefix: prefix, wide: wide, random.pick([0, 1, 4, 5, 7]), operand(&random))
    case 19, 20:
      code.emit(
        [random.pick([0x88, 0x8a]) | v], prefix: prefix, wide: wide, reg, operand(&random))
    case 21:
      code.emit(
        [0x0f, random.pick([0xb6, 0xb7, 0xbe, 0xbf])], wide: wide, reg, operand(&random))
    case 22: code.emit([0x63], wide: true, reg, operand(&random))
    case 23: code.emit([0x8d], prefix: prefix, wide: wide, reg, memory(&random))
    case 24:
      code.emit(
        [0x0f, 0x40 | UInt8(random.below(16))], prefix: prefix, wide: wide, reg, operand(&random))
    case 25: code.emit([0x0f, 0x90 | UInt8(random.below(16))], reg, operand(&random))
    case 26:
      if random.once(in: 2) {
        code.emit([0x0f, 0xaf], prefix: prefix, wide: wide, reg, operand(&random))
      } else {
        code.emit([0x6b], prefix: prefix, wide: wide, reg, operand(&random))
        code.bytes.append(UInt8(random.below(256)))
      }
    case 27:
      // A register is pushed and another one popped.
      code.bytes += [0x50 | random.pick([0, 1, 2]), 0x58 | random.pick([0, 1, 2])]
    case 28:
      switch random.below(6) {
      case 0: code.bytes += [0x9f]
      case 1: code.bytes += [random.pick([0x98, 0x99])]
      case 2:
        code.bytes += random.pick([
          [0x48, 0x0f, 0xc9], [0x86, 0xc4], [0x00, 0xe1], [0x88, 0xe8],
        ])
      case 3: code.emit([0x0f, 0xb1], wide: wide, reg, operand(&random))
      case 4:
        // mov eax, function; call rax
        code.bytes += [0xb8]
        code.word(Int32(function))
        code.bytes += [0xff, 0xd0]
      default:
        code.emit([0x0f, random.pick([0xa3, 0xbc, 0xbd])], wide: wide, reg, operand(&random))
      }
    default:
      if short || random.once(in: 2) {
        code.emit([0x81], wide: wide, UInt8(random.below(8)), operand(&random))
        code.word(Int32(truncatingIfNeeded: random.next()))
      } else {
        // r9 stays small; a pointer moves a little.
        code.bytes += [0x41, 0x83, 0xc1, 1, 0x41, 0x83, 0xe1, 31]
      }
    }
    return code
  }

  private static func vector(_ code: inout X86Code, _ random: inout FuzzRandom) {
    let reg = UInt8(random.pick([0, 1, 2, 3, 4, 8, 12, 15]))
    let other = X86Code.Place(register: UInt8(random.pick([0, 1, 2, 3, 4, 8, 12, 15])))
    let place = random.once(in: 3) ? memory(&random) : other
    let prefix = random.pick([0, 0x66, 0xf3, 0xf2, 0xf2, 0xf2]) as UInt8
    switch random.below(16) {
    case 0..<5:
      code.emit(
        [0x0f, random.pick([0x58, 0x58, 0x59, 0x5c, 0x5e, 0x5d, 0x5f, 0x51])], prefix: prefix, reg,
        place)
    case 5:
      code.emit([0x0f, random.pick([0x54, 0x55, 0x56, 0x57])], prefix: prefix & 0x66, reg, other)
    case 6, 7: code.emit([0x0f, random.pick([0x10, 0x11])], prefix: prefix, reg, place)
    case 8:
      code.emit(
        [0x0f, random.pick([0x28, 0x28, 0x12, 0x13, 0x16, 0x17, 0x29])], prefix: prefix & 0x66, reg,
        random.once(in: 3) ? place : other)
    case 9: code.emit([0x0f, random.pick([0x2e, 0x2f])], prefix: prefix & 0x66, reg, place)
    case 10:
      code.emit(
        [0x0f, 0x2a], prefix: prefix & 1 == 0 ? 0xf2 : 0xf3, wide: random.once(in: 2), reg,
        operand(&random))
    case 11:
      code.emit(
        [0x0f, random.pick([0x2c, 0x2d])], prefix: prefix & 1 == 0 ? 0xf2 : 0xf3,
        wide: random.once(in: 2), random.pick(work), place)
    case 12 where random.once(in: 3):
      // stmxcsr
      code.emit([0x0f, 0xae], 3, memory(&random))
    case 12: code.emit([0x0f, 0x5a], prefix: prefix, reg, other)
    case 13:
      code.emit([0x0f, 0xc2], prefix: prefix, reg, other)
      code.bytes.append(UInt8(random.below(8)))
    case 14:
      code.emit(
        [0x0f, random.pick([0x6e, 0x7e])], prefix: 0x66, wide: random.once(in: 2), reg,
        operand(&random))
    default:
      if random.once(in: 2) {
        code.emit(
          [0x0f, random.pick([0xef, 0xeb, 0xfe, 0xd4, 0x6c, 0x62, 0x76, 0xf4])], prefix: 0x66, reg,
          other)
      } else if random.once(in: 2) {
        code.emit([0x0f, 0x70], prefix: 0x66, reg, other)
        code.bytes.append(UInt8(random.below(256)))
      } else {
        code.emit(
          [0x0f, random.pick([0x7e, 0xd6])], prefix: random.once(in: 2) ? 0xf3 : 0x66, reg, other)
      }
    }
  }

  // MARK: Machines

  /// A hart that runs it.
  final class Machine {
    let hart: Hart
    let ram: PhysicalMemory
    let isa = X64(features: .withoutAVX)

    init?(_ loop: X86Loop, _ engine: BackEnd, _ options: JITOptions, _ caches: CacheModel) {
      guard let ram = PhysicalMemory(base: 0, size: X86Loop.size) else { return nil }
      self.ram = ram
      hart = Hart(
        index: 0, bus: Bus(ram: ram), isa: isa, cacheModel: caches, tlbCount: X64.tlbCount,
        engine: engine, jit: options)
      isa.reset(hart, pc: X86Loop.code)
      isa.regions = [
        FlatRegion(va: 0x10000, size: 0x2000, pa: 0x10000, protection: [.read, .execute]),
        // The pages of the data change places.
        FlatRegion(va: 0x20000, size: 0x1000, pa: 0x21000, protection: [.read, .write]),
        FlatRegion(va: 0x21000, size: 0x1000, pa: 0x20000, protection: [.read, .write]),
        FlatRegion(va: 0x22000, size: 0x1000, pa: 0x22000, protection: [.read]),
        FlatRegion(va: 0x30000, size: 0x1000, pa: 0x30000, protection: [.read, .write]),
      ]
      ram.write(X86Loop.code, loop.loop)
      ram.write(X86Loop.function, loop.called)
      for page in UInt64(0)..<3 {
        ram.write(X86Loop.data + page * 4096, Array(loop.contents.prefix(4096)))
      }
      for register in 0..<16 { hart.x[Registers.gpr + register] = loop.registers[register] }
      for (number, value) in loop.vectors.enumerated() {
        hart.x[Registers.vector + number / 2 * 4 + number % 2] = value
      }
      hart.x[Registers.mxcsr] = loop.control
      Self.point(hart)
      var traps: UInt64 = 0
      isa.onException = { hart, _ in
        traps += 1
        hart.x[Slot.pc] = X86Loop.code
        hart.x[Registers.mxcsr] = traps & 3 == 0 ? 0x1f80 : hart.x[Registers.mxcsr] | 0x1f80
        hart.x[Registers.gpr + Int(traps & 3)] &+= traps
        Self.point(hart)
      }
    }

    private static func point(_ hart: Hart) {
      let x = hart.x + Registers.gpr
      x[6] = X86Loop.data + 0x800
      x[7] = X86Loop.data + 0x1000 - 8
      x[5] = X86Loop.data + 0x400
      x[8] = X86Loop.data + 0x1100
      x[4] = X86Loop.stack + 0x800
      x[9] &= 31
      x[3] = 40
    }
  }
}

extension Fuzzer {
  /// The same x86-64 code on the interpreter and on the JIT, stopped at random counts.
  ///
  /// - Returns: the stops.
  func x86Engines(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    let loop = X86Loop(&random)
    let options = JITOptions.forced(&random)
    let caches: CacheModel = random.once(in: 6) ? .architectural : .coherent
    guard let one = X86Loop.Machine(loop, .interpreter, options, caches),
      let other = X86Loop.Machine(loop, .jit, options, caches)
    else { throw FuzzFailure(description: "no memory") }
    let limit: UInt64 = random.pick([2000, 10_000, 30_000])
    let slices = random.pick([1, 3, 20, 100, 700])
    var stops: UInt64 = 0
    while one.hart.count < limit {
      let target = min(one.hart.count &+ UInt64(1 + random.below(slices)), limit)
      _ = one.hart.run(until: target)
      _ = other.hart.run(until: target)
      stops += 1
      try Self.same(one.hart, other.hart)
      if random.once(in: 64) {
        one.hart.flushTLB()
        other.hart.flushTLB()
      }
    }
    for at in 0..<Int(one.ram.size)
    where one.ram.host.load(fromByteOffset: at, as: UInt8.self)
      != other.ram.host.load(fromByteOffset: at, as: UInt8.self)
    {
      throw FuzzFailure(description: "x86: RAM at 0x\(String(at, radix: 16)) differs")
    }
    return stops
  }

  static func same(_ one: Hart, _ other: Hart) throws(FuzzFailure) {
    guard one.count == other.count, one.pc == other.pc else {
      throw FuzzFailure(
        description: "x86: count \(other.count) and not \(one.count), pc "
          + "0x\(String(other.pc, radix: 16)) and not 0x\(String(one.pc, radix: 16))")
    }
    for range in [0..<Slot.temp, Slot.pc..<Slot.pending, Slot.system..<Slot.total] {
      for slot in range where slot != Slot.sink && one.x[slot] != other.x[slot] {
        throw FuzzFailure(
          description: "x86: slot \(slot) is 0x\(String(other.x[slot], radix: 16)) and not "
            + "0x\(String(one.x[slot], radix: 16)) at \(one.count), pc "
            + "0x\(String(one.pc, radix: 16))")
      }
    }
  }
}
