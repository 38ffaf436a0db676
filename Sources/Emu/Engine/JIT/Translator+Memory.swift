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
  ///
  /// The index is that of ``TLB/index(_:)``; the page compared is that of the access's last byte,
  /// which is never in the same entry as the page before it.
  private mutating func hostAddress(size: Int32, tag: Int32) -> Jump {
    guard options.inlineTLB else { return jump() }
    asm.mov(Host.rcx, Host.rax)
    asm.mov(Host.rdx, Host.rax)
    asm.shift(5, Host.rcx, 12)
    asm.shift(5, Host.rdx, UInt8(12 + TLB.bits))
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
    let missed = jump(Condition.notEqual)
    asm.rx(Alu.add, Host.rax, Host.r14, Host.rcx, Self.addend)
    return missed
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
    let missed = hostAddress(size: size, tag: Self.readTag)
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
    cold(.step, missed)
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
    let missed = hostAddress(size: size, tag: Self.writeTag)
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
    cold(.step, missed)
  }
}
#endif
