#if arch(x86_64) && os(Linux)
/// Buffers that one translation after the other uses.
final class TranslatorScratch {
  /// By slot: the host register that holds it, or ``Translator/nowhere``.
  let hostOf: UnsafeMutablePointer<UInt8>
  /// By host register: the slot that it holds.
  let slotOf: UnsafeMutablePointer<UInt8>
  let uses: UnsafeMutablePointer<UInt16>
  var used: [UInt8] = []
  var cold: [Translator.Cold] = []

  init() {
    hostOf = .allocate(capacity: 256)
    hostOf.initialize(repeating: Translator.nowhere, count: 256)
    slotOf = .allocate(capacity: 32)
    slotOf.initialize(repeating: 0, count: 32)
    uses = .allocate(capacity: 256)
    uses.initialize(repeating: 0, count: 256)
    used.reserveCapacity(256)
    cold.reserveCapacity(256)
  }

  deinit {
    hostOf.deallocate()
    slotOf.deallocate()
    uses.deallocate()
  }
}

/// Makes host code of one block.
///
/// Every block has its own map from its most used slots to host registers (0 to 15 general, 16 to 31
/// SSE). At its start and end all slots are in memory; between, `loaded` says which registers hold
/// their slot and `dirty` which of them memory does not know. What needs a slow path has it out of
/// line, behind the block: it stores what is dirty, does the micro-op on the slots, and takes up
/// again what the block goes on with.
struct Translator {
  static let nowhere: UInt8 = 255

  /// A piece out of line.
  struct Cold {
    enum Kind {
      /// Do the micro-op on the slots and go on.
      case step
      /// Call its helper and go on.
      case helper
      /// A product or quotient that is no normal number: right as it is where it is zero because an
      /// operand (bit 0: either, else the first) is.
      case zeroOrHelper(either: Bool, isDouble: Bool)
      /// An access of a loop that is not to the page that it was to last.
      case site(Int32, size: Int32, tag: Int32)
      /// Leave the rest of the block to the interpreter.
      case rest
      /// Way out: 0 taken, 1 fall-through.
      case way(fall: Bool)
      /// The budget is short.
      case budget
    }
    var kind: Kind
    var site: UnsafeMutablePointer<UInt8>
    var resume: UnsafeMutablePointer<UInt8>
    /// Where the fast path goes on with its result in xmm0.
    var commit: UnsafeMutablePointer<UInt8>
    var op: Int
    /// What memory does not know at the jump; what is in registers there; and behind the micro-op.
    var dirty: UInt32
    var before: UInt32
    var loaded: UInt32
  }

  /// A jump out of line, and what is in registers there.
  struct Jump {
    var site: UnsafeMutablePointer<UInt8>
    var dirty: UInt32
    var loaded: UInt32
  }

  var asm: Assembler
  let cache: CodeCache
  let block: UnsafeMutablePointer<Block>
  let options: JITOptions
  let floats: NativeFloatTable
  let scratch: TranslatorScratch
  let hostOf: UnsafeMutablePointer<UInt8>
  let slotOf: UnsafeMutablePointer<UInt8>
  let opCount: Int
  /// Beyond this nothing new is begun.
  let limit: UnsafeMutablePointer<UInt8>

  /// Host registers that hold a slot at all.
  var mapped: UInt32 = 0
  var loaded: UInt32 = 0
  var dirty: UInt32 = 0
  /// The block's own head, if it leads back to itself.
  var loopHead: UnsafeMutablePointer<UInt8>?
  var isLoop = false
  /// How many accesses of the loop remember their page, so far; the limit is zero where none does.
  var siteCount: Int32 = 0
  var siteLimit: Int32 = 0
  /// Floating-point slots known to hold a boxed single.
  var boxed: UInt32 = 0
  /// Known of floating-point state until a helper may change it: inexact has accrued, rounding is to
  /// nearest.
  var inexactKnown = false
  var nearestKnown = false
  /// Index of the micro-op being translated.
  var at = 0

  static let generalPool: [HostRegister] = [
    Host.rsi, Host.rdi, 8, 9, 10, 11, Host.rbp, 12, 13,
  ]
  static let floatPool: [UInt8] = Array(18...30)
  /// Registers that survive calls.
  static let preserved: UInt32 = 1 << 5 | 1 << 12 | 1 << 13

  /// Translates a block and makes its code known to it.
  ///
  /// - Returns: whether there was room.
  static func translate(
    _ block: UnsafeMutablePointer<Block>, _ cache: CodeCache, _ options: JITOptions,
    _ floats: NativeFloatTable, _ scratch: TranslatorScratch
  ) -> Bool {
    var translator = Translator(block, cache, options, floats, scratch)
    defer { translator.forgetMap() }
    guard translator.run() else {
      cache.overflowed = true
      return false
    }
    cache.commit(translator.asm.p)
    return true
  }

  private init(
    _ block: UnsafeMutablePointer<Block>, _ cache: CodeCache, _ options: JITOptions,
    _ floats: NativeFloatTable, _ scratch: TranslatorScratch
  ) {
    self.block = block
    self.cache = cache
    self.options = options
    self.floats = floats
    self.scratch = scratch
    hostOf = scratch.hostOf
    slotOf = scratch.slotOf
    opCount = block.pointee.opCount
    asm = Assembler(p: cache.writable + cache.used)
    limit = cache.writable + (cache.size - CodeCache.margin)
  }

  private mutating func run() -> Bool {
    scratch.cold.removeAll(keepingCapacity: true)
    guard asm.p < limit else { return false }
    let last = block.pointee.ops[opCount - 1]
    isLoop =
      options.chains && last.op.isDirect && UInt64(bitPattern: last.imm) == block.pointee.pc
      && block.pointee.secondPA == Block.onePage
    chooseMap()
    let entry = asm.p
    if isLoop {
      // All of the map is in registers at the head, and what the block writes counts as dirty.
      chooseSites()
      forgetSites()
      loadAll()
      dirty = writtenByBlock
      loopHead = asm.p
    }
    asm.ri(5, Host.r15, Int32(truncatingIfNeeded: block.pointee.count))
    cold(.budget, jump(Condition.sign))
    at = 0
    while at < opCount {
      guard asm.p < limit else { return false }
      emit(block.pointee.ops[at])
      at += 1
    }
    guard finishCold() else { return false }
    block.pointee.remembers = siteLimit > 0
    block.pointee.code = cache.address(entry - cache.writable)
    block.pointee.entry = UInt32(entry - cache.writable)
    return true
  }

  // MARK: The map

  /// Counts how often slots are used and gives registers to the first.
  private mutating func chooseMap() {
    for index in 0..<opCount {
      let op = block.pointee.ops[index]
      let shape = shape(of: op)
      if shape.contains(.a) { count(op.a) }
      if shape.contains(.b) { count(op.b) }
      if shape.contains(.c) { count(op.c) }
      if shape.contains(.d) { count(op.d) }
    }
    give(Self.generalPool, float: false)
    give(Self.floatPool, float: true)
    for slot in scratch.used { scratch.uses[Int(slot)] = 0 }
    scratch.used.removeAll(keepingCapacity: true)
  }

  @inline(__always)
  private func count(_ slot: UInt8) {
    guard slot != Slot.zero, slot != Slot.sink else { return }
    if scratch.uses[Int(slot)] == 0 { scratch.used.append(slot) }
    scratch.uses[Int(slot)] += 1
  }

  private mutating func give(_ pool: [UInt8], float: Bool) {
    let least: UInt16 = isLoop ? 1 : 2
    for register in pool.prefix(options.registers) {
      var best: UInt8 = 0
      var most: UInt16 = least &- 1
      for slot in scratch.used
      where scratch.uses[Int(slot)] > most && Self.isFloat(slot) == float
        && hostOf[Int(slot)] == Self.nowhere
      {
        best = slot
        most = scratch.uses[Int(slot)]
      }
      guard most >= least else { return }
      hostOf[Int(best)] = register
      slotOf[Int(register)] = best
      mapped |= 1 << UInt32(register)
    }
  }

  @inline(__always)
  static func isFloat(_ slot: UInt8) -> Bool { slot >= Slot.fp && slot < Slot.fp + 32 }

  private func forgetMap() {
    forEach(mapped) { hostOf[Int(slotOf[Int($0)])] = Self.nowhere }
  }

  /// The registers whose slots the block writes.
  private var writtenByBlock: UInt32 {
    var result: UInt32 = 0
    for index in 0..<opCount {
      let op = block.pointee.ops[index]
      guard shape(of: op).contains(.d) else { continue }
      let host = hostOf[Int(op.d)]
      if host != Self.nowhere { result |= 1 << UInt32(host) }
    }
    return result
  }

  @inline(__always)
  func forEach(_ set: UInt32, _ body: (UInt8) -> Void) {
    var rest = set
    while rest != 0 {
      body(UInt8(rest.trailingZeroBitCount))
      rest &= rest &- 1
    }
  }

  // MARK: Slots and registers

  @inline(__always)
  static func offset(_ slot: UInt8) -> Int32 { Stubs.slot(Int(slot)) }

  /// The register of a mapped slot, with its value.
  @inline(__always)
  mutating func ensure(_ host: UInt8) {
    if loaded & 1 << UInt32(host) == 0 {
      fill(host)
      loaded |= 1 << UInt32(host)
    }
  }

  /// Loads a host register from its slot.
  mutating func fill(_ host: UInt8) {
    let offset = Self.offset(slotOf[Int(host)])
    if host < 16 {
      asm.load(host, Host.rbx, offset)
    } else {
      asm.rm0f(0x10, host - 16, Host.rbx, offset, w: false, prefix: 0xf2)
    }
  }

  mutating func loadAll() {
    var rest = mapped & ~loaded
    while rest != 0 {
      fill(UInt8(rest.trailingZeroBitCount))
      rest &= rest &- 1
    }
    loaded = mapped
  }

  /// Stores registers to their slots.
  mutating func store(_ set: UInt32) {
    var rest = set
    while rest != 0 {
      let host = UInt8(rest.trailingZeroBitCount)
      let offset = Self.offset(slotOf[Int(host)])
      if host < 16 {
        asm.store(host, Host.rbx, offset)
      } else {
        asm.rm0f(0x11, host - 16, Host.rbx, offset, w: false, prefix: 0xf2)
      }
      rest &= rest &- 1
    }
  }

  /// What must be stored where the block ends: temporaries are dead.
  var dirtyAtEnd: UInt32 {
    var result = dirty
    forEach(dirty) {
      let slot = slotOf[Int($0)]
      if slot >= Slot.temp && slot < Slot.temp + 16 { result &= ~(1 << UInt32($0)) }
    }
    return result
  }

  /// Everything is in memory and registers hold nothing.
  mutating func forgetRegisters() {
    loaded = 0
    dirty = 0
    boxed = 0
    inexactKnown = false
    nearestKnown = false
  }

  /// A general register with a slot's value, which must not be changed unless it is `other`.
  mutating func read(_ slot: UInt8, else other: HostRegister) -> HostRegister {
    let host = hostOf[Int(slot)]
    if host < 16 {
      ensure(host)
      return host
    }
    readInto(other, slot)
    return other
  }

  /// Puts a slot's value into a general register; leaves the flags.
  mutating func readInto(_ register: HostRegister, _ slot: UInt8) {
    let host = hostOf[Int(slot)]
    if slot == Slot.zero {
      asm.constantKeepingFlags(register, 0)
    } else if host == Self.nowhere {
      asm.load(register, Host.rbx, Self.offset(slot))
    } else {
      ensure(host)
      if host < 16 {
        asm.mov(register, host)
      } else {
        asm.rr0f(0x7e, host - 16, register, prefix: 0x66)
      }
    }
  }

  /// The register to make a slot's new value in: its own, or rax.
  @inline(__always)
  func target(_ slot: UInt8) -> HostRegister {
    let host = hostOf[Int(slot)]
    return host < 16 ? host : Host.rax
  }

  /// Makes a general register's value that of a slot; leaves the flags.
  mutating func write(_ slot: UInt8, _ register: HostRegister) {
    if slot == Slot.sink { return }
    let host = hostOf[Int(slot)]
    if host == Self.nowhere {
      asm.store(register, Host.rbx, Self.offset(slot))
      if Self.isFloat(slot) { boxed &= ~(1 << UInt32(slot - UInt8(Slot.fp))) }
      return
    }
    if host < 16 {
      asm.mov(host, register)
    } else {
      asm.rr0f(0x6e, host - 16, register, prefix: 0x66)
    }
    noteWritten(slot, host)
  }

  @inline(__always)
  mutating func noteWritten(_ slot: UInt8, _ host: UInt8) {
    loaded |= 1 << UInt32(host)
    dirty |= 1 << UInt32(host)
    if Self.isFloat(slot) { boxed &= ~(1 << UInt32(slot - UInt8(Slot.fp))) }
  }

  /// op register, slot.
  mutating func alu(_ op: UInt8, _ register: HostRegister, _ slot: UInt8, w: Bool = true) {
    let host = hostOf[Int(slot)]
    if host == Self.nowhere && slot != Slot.zero {
      asm.rm(op, register, Host.rbx, Self.offset(slot), w: w)
    } else {
      asm.rr(op, register, read(slot, else: Host.rdx), w: w)
    }
  }

  // MARK: Out of line

  /// A jump that is to lead out of line.
  mutating func jump(_ condition: UInt8) -> Jump {
    Jump(site: asm.jcc(condition), dirty: dirty, loaded: loaded)
  }

  mutating func jump() -> Jump { Jump(site: asm.jmp(), dirty: dirty, loaded: loaded) }

  /// Says where a jump leads; call it when the micro-op is complete.
  mutating func cold(
    _ kind: Cold.Kind, _ jump: Jump, commit: UnsafeMutablePointer<UInt8>? = nil
  ) {
    scratch.cold.append(
      Cold(
        kind: kind, site: jump.site, resume: asm.p, commit: commit ?? asm.p, op: at,
        dirty: jump.dirty, before: jump.loaded, loaded: loaded))
  }

  private mutating func finishCold() -> Bool {
    let base = cache.writable
    let raw = Int64(Int(bitPattern: block))
    /// Puts the block's address into rdx and goes to a shared piece; made when first needed.
    var step: UnsafeMutablePointer<UInt8>?
    var helper: UnsafeMutablePointer<UInt8>?
    /// Forgets the pages of a loop's accesses.
    var forget: UnsafeMutablePointer<UInt8>?
    if siteLimit > 0 {
      forget = asm.p
      forgetSites(bias: 8)
      asm.ret()
    }
    for index in scratch.cold.indices {
      guard asm.p < limit else { return false }
      let cold = scratch.cold[index]
      asm.bind(cold.site)
      switch cold.kind {
      case .step, .helper, .zeroOrHelper, .site:
        if case .site(let site, let size, let tag) = cold.kind {
          siteMissed(cold, site, size, tag)
        }
        if case .zeroOrHelper(let either, let isDouble) = cold.kind {
          zeroCheck(cold, either: either, isDouble: isDouble)
        }
        store(cold.dirty)
        opOffset(cold.op)
        var isStep = false
        switch cold.kind {
        case .step, .site: isStep = true
        default: break
        }
        if let known = isStep ? step : helper {
          asm.call(known)
        } else {
          // The piece follows the call.
          asm.byte(0xe8)
          asm.int32(0)
          let site = asm.p - 4
          if let forget { asm.call(forget) }
          refill(cold)
          asm.jmp(to: cold.resume)
          asm.bind(site)
          if isStep { step = asm.p } else { helper = asm.p }
          asm.constantKeepingFlags(Host.rdx, raw)
          asm.jmp(to: base + (isStep ? cache.stubs.step : cache.stubs.helper))
          continue
        }
        if let forget { asm.call(forget) }
        refill(cold)
        asm.jmp(to: cold.resume)
      case .rest:
        store(cold.dirty)
        opOffset(cold.op)
        asm.constantKeepingFlags(Host.rdx, raw)
        asm.jmp(to: base + cache.stubs.rest)
      case .way(let fall) where !isWithinPage(fall: fall):
        jumpCached(wayTarget(fall: fall))
      case .way(let fall):
        let stub = UInt32(asm.p - base)
        let site = UInt32(cold.site - base)
        if fall {
          block.pointee.fallSite = site
          block.pointee.fallStub = stub
        } else {
          block.pointee.takenSite = site
          block.pointee.takenStub = stub
        }
        asm.constantKeepingFlags(
          Host.rcx, Int64(Int(bitPattern: Block.Link(block, fall: fall).raw)))
        asm.jmp(to: base + cache.stubs.follow)
      case .budget:
        store(cold.dirty)
        asm.constantKeepingFlags(Host.rcx, raw &+ Int64(Stubs.exitBudget))
        asm.jmp(to: base + cache.stubs.budget)
      }
    }
    return true
  }

  /// Takes up again what the fast path has in registers.
  private mutating func refill(_ cold: Cold) {
    let op = block.pointee.ops[cold.op]
    var set = cold.loaded
    // What survives a call need not be loaded, unless it is the result.
    var kept = Self.preserved
    let host = hostOf[Int(op.d)]
    if host < 16, shape(of: op).contains(.d) { kept &= ~(1 << UInt32(host)) }
    // What was not loaded before the micro-op does not survive it either.
    set &= ~(kept & cold.before)
    var rest = set
    while rest != 0 {
      fill(UInt8(rest.trailingZeroBitCount))
      rest &= rest &- 1
    }
  }

  /// ecx = where the micro-op lies in the block's memory.
  mutating func opOffset(_ index: Int) {
    let distance = UnsafeRawPointer(block.pointee.ops + index) - UnsafeRawPointer(block)
    asm.constantKeepingFlags(Host.rcx, Int64(distance))
  }
}

#endif
