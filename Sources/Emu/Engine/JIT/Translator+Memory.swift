#if arch(x86_64) && os(Linux)
extension Translator {
  private static let readTag = Int32(MemoryLayout<TLBEntry>.offset(of: \TLBEntry.read) ?? 0)
  private static let writeTag = Int32(MemoryLayout<TLBEntry>.offset(of: \TLBEntry.write) ?? 0)
  private static let addend = Int32(MemoryLayout<TLBEntry>.offset(of: \TLBEntry.addend) ?? 0)

  /// rax = x[a] + imm.
  private mutating func virtualAddress(_ op: MicroOp) {
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

  /// Turns the virtual address in rax into a host address, or jumps out of line.
  private mutating func hostAddress(size: Int32, tag: Int32) -> Jump {
    guard options.inlineTLB else { return jump() }
    lookUp(size: size, tag: tag)
    let missed = jump(Condition.notEqual)
    asm.rx(Alu.add, Host.rax, Host.r14, Host.rcx, Self.addend)
    return missed
  }

  /// Compares the TLB entry's tag with the page of the access at rax: rcx = the entry, rdx = the page.
  ///
  /// The index is that of ``TLB/index(_:)``; the page compared is that of the access's last byte,
  /// which is never in the same entry as the page before it.
  private mutating func lookUp(size: Int32, tag: Int32) {
    if cache.features.bmi2 {
      asm.rorx(Host.rcx, Host.rax, 12)
      asm.rorx(Host.rdx, Host.rax, UInt8(12 + TLB.bits))
    } else {
      asm.mov(Host.rcx, Host.rax)
      asm.mov(Host.rdx, Host.rax)
      asm.shift(5, Host.rcx, 12)
      asm.shift(5, Host.rdx, UInt8(12 + TLB.bits))
    }
    asm.rr(Alu.add, Host.rcx, Host.rdx, w: false)
    if size > 1 {
      asm.lea(Host.rdx, Host.rax, size - 1)
    } else {
      asm.mov(Host.rdx, Host.rax)
    }
    asm.ri(4, Host.rcx, Int32(TLB.entries - 1), w: false)
    asm.ri(4, Host.rdx, -4096)
    asm.shift(4, Host.rcx, UInt8(MemoryLayout<TLBEntry>.stride.trailingZeroBitCount), w: false)
    asm.rx(Alu.cmp, Host.rdx, Host.r14, Host.rcx, tag)
  }

  // MARK: Accesses of loops

  // While a loop runs and calls nobody, translations can't change. So each of its accesses keeps, in
  // the frame, the page that it was to last: its address, what is left of it behind the last place
  // for an access, and where it lies on the host. The limit is zero where nothing is known.

  /// Says how many accesses of the loop remember their page.
  mutating func chooseSites() {
    guard options.inlineTLB, unit[0].pointee.misses >= 0 else { return }
    var count: Int32 = 0
    for block in unit {
      for index in 0..<block.pointee.opCount {
        let op = block.pointee.ops[index]
        if op.op.isAccess { count += 1 }
        // Who calls often would forget often.
        if shape(of: op) == [], index < block.pointee.opCount - 1 { return }
      }
    }
    siteLimit = min(count, Stubs.sites)
  }

  mutating func forgetSites(bias: Int32 = 0) {
    if siteLimit > 0 { asm.store(Host.r15, Host.rsp, bias) }
    for site in 0..<siteLimit {
      asm.storeImmediate(Host.rsp, bias + Self.siteOffset(site) + 8, 0)
    }
  }

  private static func siteOffset(_ site: Int32) -> Int32 { 8 + site * Stubs.siteSize }

  /// rax = the host address of the access at rax.
  private mutating func remembered(size: Int32) -> (missed: Jump, hit: UnsafeMutablePointer<UInt8>)
  {
    let at = Self.siteOffset(siteCount)
    asm.rm(Alu.sub, Host.rax, Host.rsp, at)
    asm.rm(Alu.cmp, Host.rax, Host.rsp, at + 8)
    let missed = jump(Condition.aboveOrEqual)
    let hit = asm.p
    asm.rm(Alu.add, Host.rax, Host.rsp, at + 16)
    return (missed, hit)
  }

  /// Out of line: an access to another page than before.
  ///
  /// It goes on in line if the TLB knows that page.
  ///
  /// Where that is so again within a few turns, what lies around the page is remembered with it, as
  /// far as it lies so on the host; and where that happens again and again, the unit is to be
  /// translated anew without such a memory.
  mutating func siteMissed(_ cold: Cold, _ site: Int32, _ size: Int32, _ tag: Int32) {
    let at = Self.siteOffset(site)
    asm.rm(Alu.add, Host.rax, Host.rsp, at)
    asm.load(Host.rdx, Host.rsp, 0)
    asm.store(Host.r15, Host.rsp, 0)
    asm.rr(Alu.sub, Host.rdx, Host.r15)
    asm.constantKeepingFlags(
      Host.rcx, Int64(Int(bitPattern: unit[0])) &+ Self.missesOffset)
    asm.ri(7, Host.rdx, 16 * Int32(truncatingIfNeeded: block.pointee.count))
    let rare = asm.jcc(Condition.greaterOrEqual)
    asm.mi(5, Host.rcx, 0, imm: 1)
    let known = asm.jcc(Condition.notSign)
    store(cold.dirty)
    opOffset(cold.op)
    blockAddress(Host.rdx)
    asm.jmp(to: cache.writable + cache.stubs.rest)
    asm.bind(known)
    // The registers that a call may change, the virtual address with them.
    let lost = cold.before & ~Self.preserved
    store(cold.dirty & ~Self.preserved)
    asm.store(Host.rax, Host.rbx, Stubs.slot(Slot.exit))
    asm.mov(Host.rsi, Host.rax)
    asm.lea(Host.rdi, Host.rsp, at)
    asm.mov(Host.rdx, Host.r14)
    asm.constantKeepingFlags(Host.rcx, Int64(size) | (tag == Self.writeTag ? 256 : 0))
    asm.constantKeepingFlags(Host.rax, Int64(Int(bitPattern: JITRuntime.rememberAddress)))
    asm.indirect(2, Host.rax)
    asm.mov(Host.rcx, Host.rax)
    var rest = lost
    while rest != 0 {
      fill(UInt8(rest.trailingZeroBitCount))
      rest &= rest &- 1
    }
    asm.load(Host.rax, Host.rbx, Stubs.slot(Slot.exit))
    asm.storeImmediate(Host.rbx, Stubs.slot(Slot.exit), 0)
    asm.test(Host.rcx, Host.rcx)
    let unknown = asm.jcc(Condition.equal)
    asm.rm(Alu.sub, Host.rax, Host.rsp, at)
    asm.jmp(to: cold.commit)
    asm.bind(rare)
    asm.mi(0, Host.rcx, 0, imm: 8)
    lookUp(size: size, tag: tag)
    let missed = asm.jccShort(Condition.notEqual)
    asm.store(Host.rdx, Host.rsp, at)
    asm.storeImmediate(Host.rsp, at + 8, 4097 - size)
    asm.rx(Alu.mov, Host.rcx, Host.r14, Host.rcx, Self.addend)
    asm.rr(Alu.sub, Host.rax, Host.rdx)
    asm.rr(Alu.add, Host.rcx, Host.rdx)
    asm.store(Host.rcx, Host.rsp, at + 16)
    asm.jmp(to: cold.commit)
    asm.bindShort(missed)
    asm.bind(unknown)
  }

  private static let missesOffset = Int64(MemoryLayout<Block>.offset(of: \Block.misses) ?? 0)

  /// rax = the host address of an access at rax; the jump is the one out of line.
  private mutating func access(
    size: Int32, tag: Int32
  ) -> (kind: Cold.Kind, jump: Jump, commit: UnsafeMutablePointer<UInt8>?) {
    guard siteCount < siteLimit else { return (.step, hostAddress(size: size, tag: tag), nil) }
    let (missed, hit) = remembered(size: size)
    siteCount += 1
    return (.site(siteCount - 1, size: size, tag: tag), missed, hit)
  }

  mutating func load(_ op: MicroOp) {
    let size: Int32
    switch op.op {
    case .ld8s, .ld8u: size = 1
    case .ld16s, .ld16u: size = 2
    case .ld64: size = 8
    default: size = 4
    }
    virtualAddress(op)
    let (kind, missed, commit) = access(size: size, tag: Self.readTag)
    let host = hostOf[Int(op.d)]
    if op.op == .ld64, host >= 16, host != Self.nowhere {
      asm.rm0f(0x10, host - 16, Host.rax, 0, w: false, prefix: 0xf2)
      noteWritten(op.d, host)
    } else {
      let to = target(op.d)
      switch op.op {
      case .ld8s: asm.rm0f(0xbe, to, Host.rax, 0)
      case .ld8u: asm.rm0f(0xb6, to, Host.rax, 0, w: false)
      case .ld16s: asm.rm0f(0xbf, to, Host.rax, 0)
      case .ld16u: asm.rm0f(0xb7, to, Host.rax, 0, w: false)
      case .ld32s: asm.rm(Alu.movsxd, to, Host.rax, 0)
      case .ld32u: asm.rm(Alu.mov, to, Host.rax, 0, w: false)
      case .ldbox32:
        asm.rm(Alu.mov, to, Host.rax, 0, w: false)
        box(to)
      default: asm.load(to, Host.rax, 0)
      }
      write(op.d, to)
      if op.op == .ldbox32 { noteBoxed(op.d) }
    }
    cold(kind, missed, commit: commit)
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
    virtualAddress(op)
    let size: Int32
    switch op.op {
    case .st8: size = 1
    case .st16: size = 2
    case .st32: size = 4
    default: size = 8
    }
    let (kind, missed, commit) = access(size: size, tag: Self.writeTag)
    let host = hostOf[Int(op.b)]
    if size >= 4, host >= 16, host != Self.nowhere {
      ensure(host)
      asm.rm0f(0x11, host - 16, Host.rax, 0, w: false, prefix: size == 8 ? 0xf2 : 0xf3)
    } else {
      let value = read(op.b, else: Host.rcx)
      switch size {
      case 1: asm.storeByte(value, Host.rax)
      case 2: asm.storeHalf(value, Host.rax)
      case 4: asm.rm(0x89, value, Host.rax, 0, w: false)
      default: asm.store(value, Host.rax, 0)
      }
    }
    cold(kind, missed, commit: commit)
  }
}

extension Op {
  /// Whether it is a load or store that has host code.
  fileprivate var isAccess: Bool {
    switch self {
    case .ld8s, .ld8u, .ld16s, .ld16u, .ld32s, .ld32u, .ld64, .ldbox32, .st8, .st16, .st32, .st64:
      true
    default: false
    }
  }
}
#endif
