import Engine

/// The meaning of every instruction, as micro-ops.
///
/// Written once: interpreter, JIT and the simulation of a displaced instruction all run it. No
/// guest-visible write comes before the last micro-op of its instruction that can fault; a
/// destination in memory is therefore loaded by a micro-op that faults as the store would.
struct Lift {
  let builder: BlockBuilder
  /// One iteration of a repeated string instruction at a time: TF is set.
  let stepping: Bool
  /// Which units are off in this mode (``X64/TranslationFlag``).
  let mode: UInt64
  /// Whether anybody may see the flags that the present instruction sets.
  var flagsLive = true
  /// How the flags are kept at this point of the block.
  var known = Known.unknown
  /// The present instruction.
  var i = Insn()
  var row = Tables.shared.info[0]

  /// How the flags are kept, where that is known when translating.
  enum Known { case unknown, subtract, logic, result }

  /// Temporaries, dead at every instruction boundary.
  enum T {
    static let address = UInt8(Slot.temp)
    static let a = UInt8(Slot.temp + 1)
    static let b = UInt8(Slot.temp + 2)
    static let r = UInt8(Slot.temp + 3)
    static let c = UInt8(Slot.temp + 4)
    static let next = UInt8(Slot.temp + 5)
    static let v = UInt8(Slot.temp + 6)
    static let w = UInt8(Slot.temp + 7)
    /// A vector operand from memory: four slots.
    static let vector = UInt8(Slot.temp + 8)
  }

  static let flagA = UInt8(Slot.flagA)
  static let flagB = UInt8(Slot.flagB)
  static let sink = UInt8(Slot.sink)
  static let rax = UInt8(Registers.gpr), rcx = rax + 1, rdx = rax + 2, rbx = rax + 3
  static let rsp = rax + 4, rbp = rax + 5, rsi = rax + 6, rdi = rax + 7

  init(builder: BlockBuilder, flags: UInt64) {
    self.builder = builder
    stepping = flags & X64.TranslationFlag.stepping != 0
    mode = flags
  }

  /// The pc behind the present instruction.
  var end: Int64 { Int64(bitPattern: builder.pc &+ UInt64(i.length)) }

  // MARK: Addresses

  /// A memory operand's address: a slot, an index perhaps, and a displacement.
  struct Address {
    var a: UInt8
    var index: UInt8?
    var scale: UInt8 = 0
    var imm: Int64
    /// Through the stack segment: 1, else 0.
    ///
    /// Tells #SS from #GP.
    var stack: UInt8 = 0
  }

  func gpr(_ number: UInt8) -> UInt8 { UInt8(Registers.gpr) &+ number }

  /// The slot of the segment base that a prefix names, if any.
  var segment: UInt8? {
    if i.prefixes.contains(.fs) { return UInt8(Registers.fsBase) }
    return i.prefixes.contains(.gs) ? UInt8(Registers.gsBase) : nil
  }

  /// The address without its segment.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Specifying an Offset in 64-Bit Mode'.
  func offset() -> Address {
    let short = i.prefixes.contains(.addressSize)
    var address: Address
    if row.hasOffset {
      address = Address(a: 0, imm: i.disp)
    } else if i.base == Insn.rip {
      let target = end &+ i.disp
      return Address(a: 0, imm: short ? target & 0xffff_ffff : target)
    } else {
      address = Address(a: i.base == Insn.none ? 0 : gpr(i.base), imm: i.disp)
      if i.index != Insn.none {
        address.index = gpr(i.index)
        address.scale = i.scale
      }
    }
    guard short, !row.hasOffset else { return address }
    if address.a == 0, address.index == nil {
      address.imm &= i.prefixes.contains(.narrow) ? 0xffff : 0xffff_ffff
      return address
    }
    address = plain(address)
    builder.emit(.addi32, d: T.address, a: address.a, imm: address.imm)
    if i.prefixes.contains(.narrow) { builder.emit(.zext16, d: T.address, a: T.address) }
    return Address(a: T.address, imm: 0)
  }

  /// Makes an address one without an index.
  func plain(_ address: Address) -> Address {
    guard let index = address.index else { return address }
    builder.emit(
      .shadd, d: T.address, a: index, b: address.a, imm: Int64(address.scale))
    return Address(a: T.address, imm: address.imm, stack: address.stack)
  }

  /// The address of the memory operand.
  func address() -> Address {
    if checksOperand { return checkedOperand() }
    var address = offset()
    if let segment {
      if address.a == 0, address.index == nil {
        address.a = segment
        return address
      }
      address = plain(address)
      builder.emit(.add, d: T.address, a: address.a, b: segment)
      return Address(a: T.address, imm: address.imm)
    }
    if !row.hasOffset, i.base == 4 || i.base == 5 { address.stack = 1 }
    return address
  }

  /// The address as a value in a slot.
  func addressValue(_ address: Address) -> UInt8 {
    let address = plain(address)
    if address.imm == 0 { return address.a }
    builder.emit(.addi, d: T.address, a: address.a, imm: address.imm)
    return T.address
  }

  // MARK: Memory

  func load(_ d: UInt8, _ address: Address, _ size: UInt8) {
    if let index = address.index, size != 2 {
      let op: Engine.Op = size == 1 ? .ldx8u : size == 4 ? .ldx32u : .ldx64
      builder.emit(
        op, d: d, a: address.a, b: index, c: address.scale, e: address.stack, imm: address.imm)
      return
    }
    let address = plain(address)
    let op: Engine.Op = size == 1 ? .ld8u : size == 2 ? .ld16u : size == 4 ? .ld32u : .ld64
    builder.emit(op, d: d, a: address.a, e: address.stack, imm: address.imm)
  }

  func loadSigned(_ d: UInt8, _ address: Address, _ size: UInt8) {
    let address = plain(address)
    let op: Engine.Op = size == 1 ? .ld8s : size == 2 ? .ld16s : .ld32s
    builder.emit(op, d: d, a: address.a, e: address.stack, imm: address.imm)
  }

  /// Loads what will be stored to.
  func loadForModify(_ d: UInt8, _ address: Address, _ size: UInt8) {
    let op: Engine.Op = size == 1 ? .ldm8u : size == 2 ? .ldm16u : size == 4 ? .ldm32u : .ldm64
    builder.emit(op, d: d, a: address.a, e: address.stack, imm: address.imm)
  }

  func store(_ from: UInt8, _ address: Address, _ size: UInt8) {
    if let index = address.index, size != 2 {
      let op: Engine.Op = size == 1 ? .stx8 : size == 4 ? .stx32 : .stx64
      builder.emit(
        op, d: from, a: address.a, b: index, c: address.scale, e: address.stack,
        imm: address.imm)
      return
    }
    let address = plain(address)
    let op: Engine.Op = size == 1 ? .st8 : size == 2 ? .st16 : size == 4 ? .st32 : .st64
    builder.emit(op, a: address.a, b: from, e: address.stack, imm: address.imm)
  }

  // MARK: Operands

  /// Whether operand `n` is in memory.
  func isMemory(_ n: Int) -> Bool {
    switch row[n].place {
    case .rm, .vectorRm, .mmxRm: !i.rmIsRegister
    case .memory, .offset: true
    default: false
    }
  }

  /// The number of the general register that operand `n` is.
  func number(_ n: Int) -> UInt8 {
    let operand = row[n]
    switch operand.place {
    case .rm, .rmRegister: return i.rm
    case .reg: return i.reg
    case .opcodeRegister: return i.opcodeRegister
    case .vvvv: return i.vvvv
    default: return operand.register
    }
  }

  func size(_ n: Int) -> UInt8 { row[n].type.bytes(i) }

  /// Whether operand `n`, a byte register, is one of AH, CH, DH and BH.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'General-Purpose Registers in 64-Bit Mode'.
  func isHigh(_ n: Int) -> Bool {
    guard !i.prefixes.contains(.rex), row[n].place != .fixed, row[n].type == .b else {
      return false
    }
    return (4..<8).contains(number(n))
  }

  /// A slot whose low bits are operand `n`; what is above its size is anything.
  ///
  /// `temp` is used where one is needed.
  func read(_ n: Int, _ temp: UInt8) -> UInt8 {
    switch row[n].place {
    case .immediate, .one:
      builder.emit(.movi, d: temp, imm: row[n].place == .one ? 1 : i.imm)
      return temp
    case .rm, .memory, .offset:
      if isMemory(n) {
        load(temp, address(), size(n))
        return temp
      }
    default: break
    }
    if isHigh(n) {
      builder.emit(.ext8h, d: temp, a: gpr(number(n) & 3))
      return temp
    }
    return gpr(number(n))
  }

  /// Operand `n` zero-extended.
  func readZero(_ n: Int, _ temp: UInt8) -> UInt8 {
    let from = read(n, temp)
    if from == temp && row[n].place != .immediate { return temp }
    zeroExtend(temp, from, size(n))
    return size(n) == 8 ? from : temp
  }

  /// Zero-extends; nothing for 8 bytes.
  func zeroExtend(_ d: UInt8, _ a: UInt8, _ size: UInt8) {
    switch size {
    case 1: builder.emit(.andi, d: d, a: a, imm: 0xff)
    case 2: builder.emit(.zext16, d: d, a: a)
    case 4: builder.emit(.zext32, d: d, a: a)
    default: break
    }
  }

  /// Where to compute a result for register operand `n`: the register where it is written whole.
  func place(_ n: Int, _ temp: UInt8) -> UInt8 { size(n) >= 4 ? gpr(number(n)) : temp }

  /// Writes a register operand from a slot that is zero-extended if the operand has 4 bytes.
  func write(_ n: Int, _ from: UInt8) {
    let to = gpr(number(n))
    switch size(n) {
    case 1:
      if isHigh(n) {
        builder.emit(.ins8h, d: gpr(number(n) & 3), a: from)
      } else {
        builder.emit(.ins8, d: to, a: from)
      }
    case 2: builder.emit(.ins16, d: to, a: from)
    default: if from != to { builder.emit(.mov, d: to, a: from) }
    }
  }

  /// Writes a register operand from a slot with anything above the operand's size.
  func writeLow(_ n: Int, _ from: UInt8) {
    if size(n) == 4 {
      builder.emit(.zext32, d: gpr(number(n)), a: from)
    } else {
      write(n, from)
    }
  }

  /// Reads operand 0, lets `body` compute the new value into a slot, and writes it back.
  ///
  /// `body` gets the old value's slot and the slot for the result, which must be zero-extended.
  mutating func modify(_ body: (inout Lift, UInt8, UInt8) -> Void) {
    if isMemory(0) {
      let at = plain(address())
      loadForModify(T.a, at, size(0))
      body(&self, T.a, T.r)
      store(T.r, at, size(0))
    } else {
      let a = read(0, T.a)
      let d = place(0, T.r)
      body(&self, a, d)
      write(0, d)
    }
  }
}
