import CHostX86
import Engine
import X86

/// Makes instances: random instructions of the encoding rows, and states in which most of them do
/// something.
struct X86Generator {
  var rng: SplitMix
  let rows: [Int]
  /// What the data pages hold.
  let data: UnsafeMutableRawPointer

  static let code = UInt64(HOSTX86_CODE)
  static let codeSize = UInt64(HOSTX86_CODE_SIZE)
  static let dataStart = UInt64(HOSTX86_DATA)
  static let dataSize = UInt64(HOSTX86_DATA_SIZE)

  /// Rows that can't be compared: what they do is the host kernel's or the host processor's own.
  static func isComparable(_ row: Row) -> Bool {
    if row.traits.contains(.system) { return false }
    return switch row.op {
    // ICEBP is broken where the host is a virtual machine.
    case .int1: false
    case .syscall, .cpuid, .rdtsc, .rdtscp, .rdpid, .xgetbv: false
    default: true
    }
  }

  /// Fills the data pages.
  static func fill(_ data: UnsafeMutableRawPointer, _ rng: inout SplitMix) {
    for index in 0..<Int(HOSTX86_ALL_DATA_SIZE) / 8 {
      let value: UInt64
      switch rng.below(4) {
      case 0: value = Edges.integer(&rng)
      case 1: value = Edges.double(&rng)
      case 2: value = Edges.single(&rng) << 32 | Edges.single(&rng)
      default: value = rng.next()
      }
      data.storeBytes(of: value, toByteOffset: index * 8, as: UInt64.self)
    }
    let image = Int(imageOffset)
    data.storeBytes(of: UInt32(0x1f80), toByteOffset: image + 24, as: UInt32.self)
    for word in 0..<8 {
      data.storeBytes(
        of: word == 0 ? rng.next() & 7 : 0, toByteOffset: image + 512 + word * 8, as: UInt64.self)
    }
  }

  /// Where in the data an image is that XRSTOR takes.
  static let imageOffset: UInt64 = 0x1400

  /// Where the last instance's memory operand was aimed.
  var aimed: UInt64 = 0

  /// Registers that an instance does not use get values that nobody writes down.
  var quiet = false

  /// What registers hold that a vector does not mention.
  static func filler(_ register: Int) -> UInt64 { 0x5a5a_0000_c3c3_0000 | UInt64(register) }

  private func hush(_ insn: Insn, _ row: Row, _ state: X86State) {
    var used: Set<Int> = [0, 1, 2, Int(insn.reg), Int(insn.rm), Int(insn.vvvv)]
    used.formUnion([Int(insn.opcodeRegister), Int(insn.base), Int(insn.index)])
    switch insn.op {
    case .push, .pop, .call, .ret, .pushf, .popf: used.insert(4)
    case .enter, .leave: used.formUnion([4, 5])
    case .movs, .cmps, .stos, .lods, .scas, .maskmov: used.formUnion([6, 7])
    case .xlat, .cmpxchg8b, .cmpxchg16b: used.insert(3)
    default: break
    }
    for register in 0..<16 where !used.contains(register) {
      state.gpr[register] = Self.filler(register)
    }
    let vectors = row.operands.contains {
      [.vectorReg, .vectorRm, .vectorRmRegister, .vectorVvvv].contains($0.place)
    }
    for register in 0..<16
    where !vectors || ![0, insn.reg, insn.rm, insn.vvvv, insn.index].contains(UInt8(register)) {
      for word in 0..<4 { state.vectors[register * 4 + word] = Self.filler(64 + register) }
    }
    if !insn.prefixes.contains(.fs), insn.op != .rdfsbase { state.c.pointee.fsbase = 0 }
    if !insn.prefixes.contains(.gs), insn.op != .rdgsbase { state.c.pointee.gsbase = 0 }
    if !vectors { state.c.pointee.mxcsr = 0x1f80 }
    if !row.usesStack { return }
    let mmx = row.operands.contains { [.mmxReg, .mmxRm, .mmxRmRegister].contains($0.place) }
    for position in 2..<8 where !mmx && position != insn.modRM & 7 && !row.hasImage {
      state.stack[position * 2] = 0
      state.stack[position * 2 + 1] = 0
    }
  }

  /// Makes an instance.
  mutating func make(_ instance: X86Instance) -> X86Case {
    while true {
      let number = rng.pick(rows)
      let row = Encodings.allRows[number]
      var bytes = row.sample(using: &rng)
      guard bytes.count <= 15 || rng.once(in: 4) else { continue }
      let state = instance.before
      fillRegisters(state)
      guard case .insn(let insn) = Decoder.decode(bytes) else {
        // AMD means CR8 by a LOCK before a move of CR0.
        if row.op == .mov_from_cr || row.op == .mov_to_cr { continue }
        // Refused: a LOCK, or too long.
        place(instance, &bytes, Insn())
        return X86Case(row: number, insn: Insn(), undefinedFlags: 0)
      }
      guard Int(insn.row) == number else {
        // One of the eight is an instruction of its own.
        if row.pattern == "90+" { continue }
        let other = Encodings.allRows[Int(insn.row)]
        fatalError("\(row.pattern) \(row.operandText) decodes as \(other.pattern): \(bytes)")
      }
      if skips(insn) { continue }
      prepare(insn, row, state)
      if quiet { hush(insn, row, state) }
      // A count above the width has no defined result.
      if insn.op == .shld || insn.op == .shrd, insn.size == 2, row.operands[2].place == .fixed,
        state.gpr[1] & 31 > 16
      {
        continue
      }
      place(instance, &bytes, insn)
      // AMD has a bit 17 of its own.
      if insn.op == .ldmxcsr, let value = peek(aimed), value & 0xffff_0000 == 0x2_0000 { continue }
      if row.savesState, let value = peek(aimed &+ 24), value & 0xffff_0000 == 0x2_0000 { continue }
      // AMD's hash functions take what is not aligned, too.
      if row.feature == .sha, insn.hasMemory, address(instance).map({ $0 & 15 != 0 }) ?? true {
        continue
      }
      if splitsSegment(insn, instance) { continue }
      // As placed: a displacement may have been chosen.
      guard case .insn(let placed) = Decoder.decode(instance.code) else { continue }
      return X86Case(
        row: number, insn: placed, undefinedFlags: row.undefinedFlags(of: insn, rcx: state.gpr[1]))
    }
  }

  /// What processors do not agree on, or what would do something to the child.
  private func skips(_ insn: Insn) -> Bool {
    switch insn.op {
    case .int: insn.imm == 0x80
    // AMD reads four bytes of memory where the manual says two.
    case .movsxd: insn.size == 2 && insn.hasMemory
    // AMD leaves the x87 unit alone then.
    case .cvtpi2ps: insn.hasMemory
    // The host has components that we have not; and where 32-bit addresses end it goes on elsewhere.
    case .xsave, .xsaveopt, .xrstor, .fxsave, .fxrstor:
      insn.prefixes.contains(.addressSize) || [0, 2].contains(insn.base)
        || [0, 2].contains(insn.index)
    // Elements beyond 4 GiB are another processor's affair; so is a gather without a base here.
    case .maskmovd, .maskmovqq: insn.prefixes.contains(.addressSize)
    case .gather: insn.base == Insn.none || insn.prefixes.contains(.addressSize)
    // A count above the width has no defined result.
    case .shld, .shrd: insn.size == 2 && insn.imm & 31 > 16
    default: false
    }
  }

  /// The offset that a placed instruction's memory operand has in its segment.
  private static func offset(_ placed: Insn, _ state: X86State) -> UInt64 {
    var offset = UInt64(bitPattern: placed.disp)
    if placed.base == Insn.rip {
      offset &+= state.c.pointee.rip &+ UInt64(placed.length)
    } else {
      if placed.base != Insn.none { offset &+= state.gpr[Int(placed.base)] }
      if placed.index != Insn.none {
        offset &+= state.gpr[Int(placed.index)] &<< UInt64(placed.scale)
      }
    }
    return offset
  }

  /// The address of a placed instruction's memory operand.
  private func address(_ instance: X86Instance) -> UInt64? {
    guard case .insn(let placed) = Decoder.decode(instance.code) else { return nil }
    let state = instance.before
    var address = Self.offset(placed, state)
    if placed.prefixes.contains(.addressSize) { address &= 0xffff_ffff }
    if placed.prefixes.contains(.fs) { address &+= state.c.pointee.fsbase }
    if placed.prefixes.contains(.gs) { address &+= state.c.pointee.gsbase }
    return address
  }

  /// AMD looks whether an address is canonical before its segment's base is added too.
  private func splitsSegment(_ insn: Insn, _ instance: X86Instance) -> Bool {
    guard !insn.prefixes.isDisjoint(with: [.fs, .gs]) else { return false }
    let state = instance.before
    var offset: UInt64
    switch insn.op {
    case .movs, .cmps, .lods: offset = state.gpr[6]
    case .xlat: offset = state.gpr[3] &+ state.gpr[0] & 0xff
    default:
      guard case .insn(let placed) = Decoder.decode(instance.code) else { return false }
      offset = Self.offset(placed, state)
    }
    if insn.prefixes.contains(.addressSize) { offset &= 0xffff_ffff }
    let base =
      insn.prefixes.contains(.fs) ? state.c.pointee.fsbase : state.c.pointee.gsbase
    func isCanonical(_ va: UInt64) -> Bool { (va &+ 0x8000_0000_0000) >> 48 == 0 }
    // A bit string may lie a little beside.
    for beside in [UInt64(0), 31, 0x2000, 0 &- 0x2000]
    where isCanonical(offset &+ beside) != isCanonical(offset &+ base &+ beside) {
      return true
    }
    return false
  }

  private mutating func fillRegisters(_ state: X86State) {
    for index in 0..<16 { state.gpr[index] = Edges.integer(&rng) }
    var flags = rng.next() & 0x8d5 | 0x202
    if rng.once(in: 4) { flags |= 0x400 }
    state.c.pointee.rflags = flags
    state.c.pointee.fsbase = rng.once(in: 2) ? 0 : rng.next() & 0xffff
    state.c.pointee.gsbase = rng.once(in: 2) ? 0 : 0 &- (rng.next() & 0xffff)
    for index in 0..<64 { state.vectors[index] = vectorWord() }
    for index in 0..<8 {
      state.stack[index * 2] = 0
      state.stack[index * 2 + 1] = 0
    }
    var mxcsr: UInt32 = 0x1f80
    if rng.once(in: 2) { mxcsr |= UInt32(rng.below(4)) << 13 }
    if rng.once(in: 8) { mxcsr |= 0x40 }
    if rng.once(in: 8) { mxcsr |= 0x8000 }
    if rng.once(in: 4) { mxcsr |= UInt32(rng.below(64)) }
    if rng.once(in: 8) { mxcsr &= ~(UInt32(rng.below(64)) << 7) }
    state.c.pointee.mxcsr = mxcsr
    state.c.pointee.fcw = 0x37f
    state.c.pointee.fsw = 0
    state.c.pointee.ftw = 0
    state.c.pointee.fop = 0
    state.c.pointee.fip = 0
    state.c.pointee.fdp = 0
  }

  /// Gives the x87 unit a state: mostly a full or nearly full stack and no exception that waits.
  private mutating func fillStack(_ state: X86State) {
    for index in 0..<8 {
      let value = rng.once(in: 6) && index > 0 ? nearby(state) : Edges.extended(&rng)
      state.stack[index * 2] = value.significand
      state.stack[index * 2 + 1] = UInt64(value.signExponent)
    }
    var control: UInt16 = 0x37f
    if rng.once(in: 2) { control |= UInt16(rng.below(4)) << 10 }
    if rng.once(in: 3) { control = control & ~0x300 | rng.pick([0, 0x200, 0x100]) }
    if rng.once(in: 4) { control &= ~UInt16(rng.below(64)) }
    var status = UInt16(truncatingIfNeeded: rng.next() & 0x7f00)
    if rng.once(in: 4) {
      status |= UInt16(rng.below(128))
      // Seldom one that waits.
      if !rng.once(in: 8) { status &= control | ~0x3f }
    }
    if status & ~control & 0x3f != 0 { status |= 0x8080 }
    state.c.pointee.fcw = control
    state.c.pointee.fsw = status
    state.c.pointee.ftw = 0xff
    switch rng.below(8) {
    case 0: state.c.pointee.ftw = UInt16(rng.next() & 0xff)
    case 1: state.c.pointee.ftw = 0
    case 2, 3, 4:
      // Room for one.
      state.c.pointee.ftw &= ~(1 << ((status >> 11 &- 1) & 7))
    default: break
    }
    if status & 0x80 != 0 {
      state.c.pointee.fop = UInt16(rng.next() & 0x7ff)
      state.c.pointee.fip = rng.next() & 0x7fff_ffff_ffff
      state.c.pointee.fdp = rng.next() & 0x7fff_ffff_ffff
    }
  }

  /// A number near to ST(0), so that sums cancel and quotients are small.
  private mutating func nearby(_ state: X86State) -> Extended {
    var exponent = UInt16(truncatingIfNeeded: state.stack[1])
    exponent &+= UInt16(truncatingIfNeeded: rng.below(5)) &- 2
    if rng.once(in: 3) { exponent &-= UInt16(rng.below(130)) }
    if rng.once(in: 2) { exponent ^= 0x8000 }
    let some: [UInt64] = [state.stack[0], state.stack[0] &+ 1, rng.next() | 1 << 63]
    return Extended(significand: rng.pick(some), signExponent: exponent)
  }

  private mutating func vectorWord() -> UInt64 {
    switch rng.below(6) {
    case 0: return rng.next()
    case 1: return Edges.integer(&rng)
    case 2, 3: return Edges.double(&rng)
    default: return Edges.single(&rng) << 32 | Edges.single(&rng)
    }
  }

  /// Where the code goes, and with it displacements that depend on it.
  private mutating func place(_ instance: X86Instance, _ bytes: inout [UInt8], _ insn: Insn) {
    let count = UInt64(bytes.count)
    var rip = Self.code + rng.next() % (Self.codeSize - count)
    // At the very end; across the page boundary.
    if rng.once(in: 50) { rip = Self.code + Self.codeSize - count }
    if rng.once(in: 50) { rip = Self.code + 4096 - rng.next() % 16 }
    let state = instance.before
    state.c.pointee.rip = rip
    if insn.dispSize == 4,
      insn.base == Insn.rip || insn.base == Insn.none && insn.index == Insn.none
    {
      var target = dataAddress(alignment: 16)
      aimed = target
      let segment: UInt64 =
        insn.prefixes.contains(.fs)
        ? state.c.pointee.fsbase : insn.prefixes.contains(.gs) ? state.c.pointee.gsbase : 0
      target &-= segment
      if insn.base == Insn.rip { target &-= rip &+ UInt64(insn.length) }
      if !rng.once(in: 30) || insn.base == Insn.rip {
        for index in 0..<4 {
          bytes[Int(insn.dispOffset) + index] = UInt8(
            truncatingIfNeeded: target >> UInt64(index * 8))
        }
      }
    }
    if Encodings.allRows[Int(insn.row)].operands.contains(where: { $0.place == .offset }),
      insn.length > 0, !rng.once(in: 30)
    {
      let size = insn.prefixes.contains(.addressSize) ? 4 : 8
      let target = dataAddress(alignment: 8)
      for index in 0..<size {
        bytes[Int(insn.immOffset) + index] = UInt8(
          truncatingIfNeeded: target >> UInt64(index * 8))
      }
    }
    instance.setCode(bytes)
  }

  /// An address to access: mostly in the data pages, at times across their ends.
  mutating func dataAddress(alignment: UInt64) -> UInt64 {
    let start = Self.dataStart
    switch rng.below(40) {
    case 0: return start + 4096 - rng.next() % 32
    case 1: return start + Self.dataSize - rng.next() % 32
    case 2: return start + Self.dataSize + rng.next() % 4096
    case 3: return start + Self.dataSize + 4096 - rng.next() % 32
    case 4: return start - rng.next() % 32
    case 5: return start + 0x10_0000 + rng.next() % 4096
    case 6: return rng.pick([0x7fff_ffff_f000, 0xffff_7fff_ffff_fff0, 0x8000_0000_0000, 1 << 63])
    default:
      let at = start + 512 + rng.next() % (Self.dataSize - 1024)
      return rng.once(in: 4) ? at : at & ~(alignment - 1)
    }
  }

  // MARK: States

  /// Gives the registers of an address values, so that it is `target`.
  private func aim(_ insn: Insn, _ target: UInt64, _ state: X86State) {
    var rest = target &- UInt64(bitPattern: insn.disp)
    if insn.prefixes.contains(.fs) { rest &-= state.c.pointee.fsbase }
    if insn.prefixes.contains(.gs) { rest &-= state.c.pointee.gsbase }
    guard insn.base != Insn.rip else { return }
    if insn.base == Insn.none {
      guard insn.index != Insn.none else { return }
      state.gpr[Int(insn.index)] = rest >> UInt64(insn.scale)
      return
    }
    if insn.index == insn.base {
      // Odd multiples have an inverse.
      let times = UInt64(1) << UInt64(insn.scale) &+ 1
      if times & 1 == 0 {
        state.gpr[Int(insn.base)] = rest / 2
      } else {
        var inverse = times
        for _ in 0..<6 { inverse = inverse &* (2 &- times &* inverse) }
        state.gpr[Int(insn.base)] = rest &* inverse
      }
      return
    }
    if insn.index != Insn.none { rest &-= state.gpr[Int(insn.index)] &<< UInt64(insn.scale) }
    state.gpr[Int(insn.base)] = rest
  }

  private func peek(_ address: UInt64) -> UInt64? {
    let offset = address &- Self.dataStart
    guard offset <= UInt64(HOSTX86_ALL_DATA_SIZE) - 8 else { return nil }
    return data.loadUnaligned(fromByteOffset: Int(offset), as: UInt64.self)
  }

  private mutating func prepare(_ insn: Insn, _ row: Row, _ state: X86State) {
    let gpr = state.gpr
    if row.usesStack { fillStack(state) }
    if row.savesState, row.feature == .xsave {
      // The host has more components than we have.
      gpr[0] &= 7
      gpr[2] = 0
    }
    switch insn.op {
    case .div, .idiv:
      // A quotient that fits.
      if !rng.once(in: 4) { gpr[2] = rng.once(in: 2) ? 0 : rng.next() & 0xff }
      if rng.once(in: 4) { gpr[2] = UInt64(bitPattern: Int64(bitPattern: gpr[0]) >> 63) }
      if rng.once(in: 4) { gpr[0] &= 0xff }
    case .push, .pop, .call, .ret, .pushf, .popf, .enter, .leave:
      if !rng.once(in: 30) { gpr[4] = dataAddress(alignment: 8) }
      if insn.op == .enter || insn.op == .leave { gpr[5] = dataAddress(alignment: 8) }
    case .movs, .cmps, .stos, .lods, .scas:
      gpr[6] = dataAddress(alignment: 8)
      gpr[7] = dataAddress(alignment: 8)
      if insn.op == .cmps {
        // Which of two faults comes first is the processor's affair.
        let safe = Self.dataStart + 512 + rng.next() % 4096
        gpr[rng.once(in: 2) ? 6 : 7] = safe
      }
      if insn.prefixes.contains(.fs) { gpr[6] &-= state.c.pointee.fsbase }
      if insn.prefixes.contains(.gs) { gpr[6] &-= state.c.pointee.gsbase }
      if rng.once(in: 8) { gpr[7] = gpr[6] }
      if rng.once(in: 2) { gpr[1] = rng.next() % 4 }
      if insn.op == .scas, rng.once(in: 2), let value = peek(gpr[7]) { gpr[0] = value }
    case .shld, .shrd:
      if insn.size == 2, gpr[1] & 31 > 16 { gpr[1] &= ~0x10 }
    case .gather:
      // Indices near zero, and most elements wanted.
      for word in 0..<4 {
        let at = Int(insn.index) * 4 + word
        state.vectors[at] =
          insn.opcode & 1 == 0
          ? UInt64(rng.below(64)) | UInt64(rng.below(64)) << 32
          : UInt64(bitPattern: Int64(rng.below(128) - 64))
        state.vectors[Int(insn.vvvv) * 4 + word] |= rng.pick([1 << 63, 1 << 31 | 1 << 63, 0])
      }
    case .maskmov:
      // Whether an address faults though no byte is stored, and whether the unit has become one of
      // MMX when one faults, is the processor's affair.
      gpr[7] = Self.dataStart + 512 + rng.next() % 4096
      if insn.prefixes.contains(.fs) { gpr[7] &-= state.c.pointee.fsbase }
      if insn.prefixes.contains(.gs) { gpr[7] &-= state.c.pointee.gsbase }
    case .xlat:
      gpr[3] = dataAddress(alignment: 1)
    case .jrcxz, .loop, .loope, .loopne:
      if rng.once(in: 2) { gpr[1] = rng.pick([0, 1, 2, 1 << 32, 1 << 32 + 1]) }
    case .bt, .bts, .btr, .btc:
      if insn.hasMemory, row.operands[1].place == .reg, !rng.once(in: 20) {
        gpr[Int(insn.reg)] = rng.next() % 2048 &- 1024
      }
    default: break
    }
    if insn.hasMemory {
      let vector = row.operands.contains { $0.place == .vectorRm }
      var target = dataAddress(alignment: vector ? 16 : row.savesState ? 64 : 8)
      if insn.op == .xrstor, !rng.once(in: 8) { target = Self.dataStart + Self.imageOffset }
      aimed = target
      if insn.op == .gather {
        // Inside: what is left of the mask after a fault is the processor's affair, and with TF a
        // trap takes the fault's place.
        var base = Self.dataStart + 1024 + rng.next() % 4096 &- UInt64(bitPattern: insn.disp)
        if insn.prefixes.contains(.fs) { base &-= state.c.pointee.fsbase }
        if insn.prefixes.contains(.gs) { base &-= state.c.pointee.gsbase }
        if insn.base < 16 { state.gpr[Int(insn.base)] = base }
      } else if !rng.once(in: 40) {
        aim(insn, target, state)
      }
      if [.cmpxchg, .cmpxchg8b, .cmpxchg16b].contains(insn.op), rng.once(in: 2),
        insn.base != 0, insn.index != 0, insn.base != 2, insn.index != 2, let value = peek(target)
      {
        gpr[0] = insn.op == .cmpxchg8b ? value & 0xffff_ffff : value
        if insn.op == .cmpxchg8b { gpr[2] = value >> 32 }
        if insn.op == .cmpxchg16b { gpr[2] = peek(target &+ 8) ?? 0 }
      }
      if insn.op == .jmp || insn.op == .call { return }
    } else if insn.op == .cmpxchg, rng.once(in: 2) {
      gpr[0] = gpr[Int(insn.rm)]
    } else if insn.op == .jmp || insn.op == .call, insn.rmIsRegister, !rng.once(in: 4),
      insn.rm != 4
    {
      gpr[Int(insn.rm)] &= 0x7fff_ffff_ffff
    }
  }
}
