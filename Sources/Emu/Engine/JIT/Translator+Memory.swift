#if arch(x86_64) && os(Linux)
extension Translator {
  private static let readTag = Int32(MemoryLayout<TLBEntry>.offset(of: \TLBEntry.read) ?? 0)
  private static let writeTag = Int32(MemoryLayout<TLBEntry>.offset(of: \TLBEntry.write) ?? 0)
  private static let addend = Int32(MemoryLayout<TLBEntry>.offset(of: \TLBEntry.addend) ?? 0)

  /// rax = x[a] + imm.
  private mutating func virtualAddress(_ op: MicroOp) {
    if op.op.hostAccess?.isIndexed == true {
      let (base, disp) = base(op)
      return asm.lea(Host.rax, base, disp)
    }
    guard let imm = Int32(exactly: op.imm) else {
      asm.constantKeepingFlags(Host.rax, op.imm)
      alu(Alu.add, Host.rax, op.a)
      return
    }
    let host = hostOf[Int(op.a)]
    if op.a == Slot.zero {
      asm.constant(Host.rax, op.imm)
    } else if host < 16, imm != 0 {
      ensure(host)
      asm.lea(Host.rax, host, imm)
    } else {
      readInto(Host.rax, op.a)
      if imm != 0 { asm.ri(0, Host.rax, imm) }
    }
  }

  /// What an access is relative to, in a register that may be rcx, and the displacement from there.
  ///
  /// A constant address is taken for the base itself.
  private mutating func base(_ op: MicroOp) -> (HostRegister, Int32) {
    let disp = Int32(truncatingIfNeeded: op.imm)
    if op.op.hostAccess?.isIndexed == true {
      if op.a == Slot.zero {
        readInto(Host.rcx, op.b)
        if op.c != 0 { asm.shift(4, Host.rcx, op.c) }
      } else {
        let a = read(op.a, else: Host.rcx)
        asm.rx(0x8d, Host.rcx, a, read(op.b, else: Host.rdx), scale: op.c, 0)
      }
      return (Host.rcx, disp)
    }
    if op.a == Slot.zero {
      asm.constantKeepingFlags(Host.rcx, op.imm)
      return (Host.rcx, 0)
    }
    return (read(op.a, else: Host.rcx), disp)
  }

  /// The same from memory, in rax, without the displacement; changes rcx.
  private mutating func baseAgain(_ op: MicroOp) {
    if op.op.hostAccess?.isIndexed == true {
      asm.load(Host.rax, Host.rbx, Self.offset(op.b))
      if op.c != 0 { asm.shift(4, Host.rax, op.c) }
      if op.a != Slot.zero { asm.rm(Alu.add, Host.rax, Host.rbx, Self.offset(op.a)) }
    } else if op.a == Slot.zero {
      asm.constantKeepingFlags(Host.rax, op.imm)
    } else {
      asm.load(Host.rax, Host.rbx, Self.offset(op.a))
    }
  }

  private static let tlbShift = UInt8(MemoryLayout<TLBEntry>.stride.trailingZeroBitCount)

  /// Compares the TLB entry's tag with the page of the access at rax: rcx = the entry, rdx = the page.
  ///
  /// The index is that of ``TLB/index(_:)``; the page compared is that of the access's last byte,
  /// which is never in the same entry as the page before it.
  mutating func lookUp(size: Int32, tag: Int32) {
    asm.shiftedRight(Host.rcx, Host.rax, 12 - Self.tlbShift, bmi2: cache.features.bmi2)
    if size > 1 {
      asm.lea(Host.rdx, Host.rax, size - 1)
    } else {
      asm.mov(Host.rdx, Host.rax)
    }
    asm.ri(4, Host.rcx, Int32(TLB.entries - 1) << Int32(Self.tlbShift), w: false)
    asm.ri(4, Host.rdx, -4096)
    asm.rx(Alu.cmp, Host.rdx, Host.r14, Host.rcx, tag)
  }

  // MARK: Ways to memory

  /// Where on the host an access goes: [base + index << scale + disp].
  struct Place {
    var base: HostRegister
    var index: HostRegister
    var scale: UInt8 = 0
    var disp: Int32
    /// What leads out of line instead, and where that takes up again.
    var jumps: [Jump]
    var kind: Cold.Kind
    var again: UnsafeMutablePointer<UInt8>?
  }

  /// What holds the distance to the host's addresses for groups outside of loops.
  static let delta: HostRegister = 13

  /// Finds an access's bytes, or jumps out of line; rdx is free behind it.
  private mutating func place(_ op: MicroOp, size: Int32, tag: Int32) -> Place {
    let plan = scratch.plan
    let number = plan.groupOf[planStart + at]
    guard number >= 0 else {
      virtualAddress(op)
      var place = Place(
        base: Host.rax, index: Host.rcx, disp: 0, jumps: [],
        kind: plan.live[planStart + at] ? .rest : .step, again: nil)
      guard options.inlineTLB else {
        place.jumps = [jump()]
        return place
      }
      lookUp(size: size, tag: tag)
      place.jumps = [jump(Condition.notEqual)]
      asm.rx(Alu.mov, Host.rcx, Host.r14, Host.rcx, Self.addend)
      return place
    }
    let group = plan.groups[Int(number)]
    if group.site >= 0 { return remembered(op, group, Int(number)) }
    if group.leader != at {
      if inDelta != number {
        asm.load(Self.delta, Host.rsp, group.temp * 8)
        inDelta = number
      }
      let (base, disp) = base(op)
      return Place(
        base: base, index: Self.delta, disp: disp, jumps: [], kind: .step, again: nil)
    }
    let (base, disp) = base(op)
    asm.lea(Host.rax, base, Int32(truncatingIfNeeded: group.low))
    lookUp(size: Int32(truncatingIfNeeded: group.high - group.low), tag: tag)
    let missed = jump(Condition.notEqual)
    asm.rx(Alu.mov, Self.delta, Host.r14, Host.rcx, Self.addend)
    if group.interleaved { asm.store(Self.delta, Host.rsp, group.temp * 8) }
    inDelta = number
    return Place(
      base: Host.rax, index: Self.delta,
      disp: disp &- Int32(truncatingIfNeeded: group.low), jumps: [missed],
      kind: .leader(Int(number), tag: tag), again: nil)
  }

  /// An access that remembers where its page lies, or follows one that does.
  private mutating func remembered(
    _ op: MicroOp, _ group: AccessGroup, _ number: Int
  ) -> Place {
    let site = cache.writable + record + Self.siteOffset(Int(group.site))
    let isLeader = group.leader == at
    let again = asm.p
    let (base, disp) = base(op)
    var jumps: [Jump] = []
    if isLeader {
      asm.mov(Host.rax, base)
      asm.rip(Alu.sub, Host.rax, site)
      asm.rip(Alu.cmp, Host.rax, site + 8)
      jumps.append(jump(Condition.aboveOrEqual))
      if group.mode == SiteState.Mode.twoRanges, group.high - group.low > 1 {
        // Both ranges never serve one access.
        asm.testImmediate(base, Int32(truncatingIfNeeded: group.high - group.low - 1))
        jumps.append(jump(Condition.notEqual))
      }
    }
    asm.rip(Alu.mov, Host.rax, site + 16)
    if group.mode == SiteState.Mode.twoRanges {
      asm.rip(Alu.cmp, base, site + 24)
      asm.rip0f(0x40 | Condition.aboveOrEqual, Host.rax, site + 32)
    }
    let index = hostOf[Int(op.b)]
    if op.op.hostAccess?.isIndexed == true, op.a == Slot.zero, index < 16 {
      // Without waiting for the base.
      return Place(
        base: Host.rax, index: index, scale: op.c, disp: disp, jumps: jumps, kind: .site(number),
        again: again)
    }
    return Place(
      base: base, index: Host.rax, disp: disp, jumps: jumps, kind: .site(number), again: again)
  }

  /// Out of line: a group outside of loops whose page the TLB does not know, or which lies in two.
  ///
  /// The first access is done alone, which makes the page known; where that does not help the
  /// interpreter does the rest of the block.
  mutating func leaderMissed(_ cold: Cold, _ number: Int, _ tag: Int32) {
    let group = scratch.plan.groups[number]
    let op = block.pointee.ops[cold.op]
    store(cold.dirty)
    resolve(cold)
    opOffset(cold.op)
    blockAddress(Host.rdx)
    asm.call(cache.writable + cache.stubs.step)
    var failed: UnsafeMutablePointer<UInt8>?
    if !op.op.loads || op.d != op.a && (op.d != op.b || op.op.hostAccess?.isIndexed != true) {
      baseAgain(op)
      if group.low != 0 { asm.ri(0, Host.rax, Int32(truncatingIfNeeded: group.low)) }
      lookUp(size: Int32(truncatingIfNeeded: group.high - group.low), tag: tag)
      failed = asm.jcc(Condition.notEqual)
      asm.rx(Alu.mov, Self.delta, Host.r14, Host.rcx, Self.addend)
      if group.interleaved { asm.store(Self.delta, Host.rsp, group.temp * 8) }
      zeroUpper(cold)
      refill(cold)
      asm.jmp(to: cold.resume)
    }
    if let failed { asm.bind(failed) }
    opOffset(cold.op + 1)
    blockAddress(Host.rdx)
    asm.jmp(to: cache.writable + cache.stubs.rest)
  }

  // MARK: Accesses of loops

  /// On the way into a loop and behind calls: what it remembers must be of the translations that are in
  /// force.
  mutating func checkRecord() {
    guard siteCount > 0 else { return }
    asm.load(Host.rax, Host.rbx, Stubs.slot(Slot.pagesTag))
    asm.rip(Alu.cmp, Host.rax, cache.writable + record)
    cold(.forget, jump(Condition.notEqual))
  }

  /// rax = the tag: the loop remembers nothing under it.
  ///
  /// No base address is in a range of none.
  mutating func forgetSites() {
    asm.constantKeepingFlags(
      Host.rcx, Int64(Int(bitPattern: cache.writable + record)))
    asm.store(Host.rax, Host.rcx, 0)
    for group in scratch.plan.groups where group.site >= 0 {
      let at = Int32(Self.siteOffset(Int(group.site)))
      asm.storeImmediate(Host.rcx, at, -1)
      asm.storeImmediate(Host.rcx, at + 8, 0)
    }
    asm.ret()
  }

  /// Out of line: an access to another page than before.
  ///
  /// It is taken up again if the TLB knows the page; else the interpreter does the rest of the block.
  mutating func siteMissed(_ cold: Cold, _ number: Int) {
    let group = scratch.plan.groups[number]
    let op = block.pointee.ops[cold.op]
    let inPlace =
      op.a != Slot.zero && op.op.hostAccess?.isIndexed != true && hostOf[Int(op.a)] < 16
    asm.mov(Host.rax, inPlace ? hostOf[Int(op.a)] : Host.rcx)
    store(cold.dirty & ~Self.preserved)
    asm.store(Host.r15, Host.rbx, Stubs.slot(Slot.left))
    let site = cache.writable + record + Self.siteOffset(Int(group.site))
    asm.constantKeepingFlags(Host.rdi, Int64(Int(bitPattern: site)))
    asm.mov(Host.rsi, Host.rax)
    asm.lea(Host.rdx, Host.rbx, -Stubs.bias)
    asm.constantKeepingFlags(Host.rcx, Int64(Int(bitPattern: unit[0])))
    let miss = SiteMiss(
      low: Int32(truncatingIfNeeded: group.low),
      span: UInt16(truncatingIfNeeded: group.high - group.low), site: UInt8(group.site),
      reads: group.reads, writes: group.writes, alone: group.count == 1, mode: group.mode)
    asm.constantKeepingFlags(8, Int64(bitPattern: miss.packed))
    asm.constantKeepingFlags(Host.rax, Int64(Int(bitPattern: JITRuntime.siteMissedAddress)))
    asm.indirect(2, Host.rax)
    asm.test(Host.rax, Host.rax)
    let unknown = asm.jcc(Condition.equal)
    var rest = cold.before & ~Self.preserved
    while rest != 0 {
      fill(UInt8(rest.trailingZeroBitCount))
      rest &= rest &- 1
    }
    asm.jmp(to: cold.commit)
    asm.bind(unknown)
    store(cold.dirty & Self.preserved)
    resolve(cold)
    opOffset(cold.op)
    blockAddress(Host.rdx)
    asm.jmp(to: cache.writable + cache.stubs.rest)
  }

  // MARK: The micro-ops

  private mutating func out(_ place: Place) {
    for jump in place.jumps { cold(place.kind, jump, commit: place.again) }
  }

  private mutating func place(_ op: MicroOp) -> Place {
    let access = op.op.hostAccess ?? (8, false, false)
    return place(op, size: access.size, tag: access.writes ? Self.writeTag : Self.readTag)
  }

  mutating func load(_ op: MicroOp) {
    let place = place(op)
    let (base, index, scale, disp) = (place.base, place.index, place.scale, place.disp)
    let host = hostOf[Int(op.d)]
    if host >= 16, host != Self.nowhere, op.op != .ldbox32 {
      let single = op.op.hostAccess?.size == 4
      asm.rx0f(
        0x10, host - 16, base, index, scale: scale, disp, w: false, prefix: single ? 0xf3 : 0xf2)
      noteWritten(op.d, host)
      out(place)
      // The upper half is zero too, as the next micro-op wants it or because nobody asks.
      if isVector(op.d), isZeroed(op.d) { at += 1 }
      return
    }
    let to = target(op.d)
    switch op.op {
    case .ld8s: asm.rx0f(0xbe, to, base, index, scale: scale, disp)
    case .ld8u, .ldm8u, .ldx8u: asm.rx0f(0xb6, to, base, index, scale: scale, disp, w: false)
    case .ld16s: asm.rx0f(0xbf, to, base, index, scale: scale, disp)
    case .ld16u, .ldm16u: asm.rx0f(0xb7, to, base, index, scale: scale, disp, w: false)
    case .ld32s: asm.rx(Alu.movsxd, to, base, index, scale: scale, disp)
    case .ld32u, .ldm32u, .ldx32u: asm.rx(Alu.mov, to, base, index, scale: scale, disp, w: false)
    case .ldbox32:
      asm.rx(Alu.mov, to, base, index, scale: scale, disp, w: false)
      box(to)
    default: asm.rx(Alu.mov, to, base, index, scale: scale, disp)
    }
    write(op.d, to)
    if op.op == .ldbox32 { noteBoxed(op.d) }
    out(place)
  }

  mutating func loadVector(_ op: MicroOp) {
    let place = place(op)
    let host = hostOf[Int(op.d)]
    let isMapped = host >= 16 && host != Self.nowhere
    asm.rx0f(
      0x10, isMapped ? host - 16 : 0, place.base, place.index, scale: place.scale, place.disp,
      w: false)
    if isMapped {
      noteWritten(op.d, host)
    } else {
      asm.rm0f(0x11, 0, Host.rbx, Self.offset(op.d), w: false)
    }
    out(place)
  }

  mutating func storeVector(_ op: MicroOp) {
    let place = place(op)
    let host = hostOf[Int(op.b)]
    var from: UInt8 = 0
    if host >= 16, host != Self.nowhere {
      ensure(host)
      from = host - 16
    } else {
      asm.rm0f(0x10, 0, Host.rbx, Self.offset(op.b), w: false)
    }
    asm.rx0f(0x11, from, place.base, place.index, scale: place.scale, place.disp, w: false)
    out(place)
  }

  /// Out of line: a load that makes the upper half of a vector zero did so to the lower one alone.
  mutating func zeroUpper(_ cold: Cold) {
    guard cold.zeroes else { return }
    let op = block.pointee.ops[cold.op]
    asm.storeImmediate(Host.rbx, Self.offset(op.d + 1), 0)
  }

  /// Fills the upper half of a register, rcx aside, with ones.
  mutating func box(_ register: HostRegister) {
    asm.constantKeepingFlags(Host.rcx, Int64(bitPattern: 0xffff_ffff_0000_0000))
    asm.rr(Alu.or, register, Host.rcx)
  }

  mutating func noteBoxed(_ slot: UInt8) {
    if Self.isFloat(slot) { boxed |= 1 << UInt32(slot - UInt8(Slot.fp)) }
  }

  mutating func store(_ op: MicroOp) {
    let place = place(op)
    let (base, index, scale, disp) = (place.base, place.index, place.scale, place.disp)
    let size = op.op.hostAccess?.size ?? 8
    let slot = op.op.storesD ? op.d : op.b
    let host = hostOf[Int(slot)]
    if size >= 4, host >= 16, host != Self.nowhere {
      ensure(host)
      asm.rx0f(
        0x11, host - 16, base, index, scale: scale, disp, w: false, prefix: size == 8 ? 0xf2 : 0xf3)
    } else {
      let value = read(slot, else: Host.rdx)
      switch size {
      case 1: asm.storeByte(value, base, index, scale: scale, disp)
      case 2: asm.storeHalf(value, base, index, scale: scale, disp)
      case 4: asm.rx(0x89, value, base, index, scale: scale, disp, w: false)
      default: asm.rx(0x89, value, base, index, scale: scale, disp)
      }
    }
    out(place)
  }
}
#endif
