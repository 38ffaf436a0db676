#if arch(x86_64) && os(Linux)
/// Buffers that one translation after the other uses.
final class TranslatorScratch {
  /// By slot: the host register that holds it, or ``Translator/nowhere``.
  let hostOf: UnsafeMutablePointer<UInt8>
  /// By host register: the slot that it holds.
  let slotOf: UnsafeMutablePointer<UInt8>
  let uses: UnsafeMutablePointer<UInt32>
  var used: [UInt8] = []
  var cold: [Translator.Cold] = []
  /// The ways in, by block of the unit.
  var entries: [UnsafeMutablePointer<UInt8>] = []
  /// Jumps within the unit.
  var fixups: [(site: UnsafeMutablePointer<UInt8>, block: UnsafeMutablePointer<Block>)] = []
  /// Ways out that can be linked.
  var ways: [Way] = []
  let plan = AccessPlan()
  /// By micro-op of the block, and behind the last: whether the condition codes may be asked for.
  var flagsLive: [Bool] = []
  var edges = Translator.Edges()

  struct Way {
    var block: UnsafeMutablePointer<Block>
    var fall: Bool
    var site: UInt32
    var stub: UInt32
  }

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

/// Makes host code of one unit: a block, or the blocks of a loop.
///
/// Every unit has its own map from its most used slots to host registers (0 to 15 general, 16 to 31
/// SSE). At its start and end all slots are in memory; between, `loaded` says which registers hold
/// their slot and `dirty` which of them memory does not know. What needs a slow path has it out of
/// line, behind the unit: it stores what is dirty, does the micro-op on the slots, and takes up
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
      /// An access of a loop that is not to the page that it was to last: its group.
      case site(Int)
      /// The first access of a group outside of loops, whose page the TLB does not know.
      case leader(Int, tag: Int32)
      /// A loop's memory of pages is not of the translations in force.
      case forget
      /// Leave the rest of the block to the interpreter.
      case rest
      /// Begin to collect floating-point exceptions; the same as the above where rounding is not to
      /// nearest.
      case collect
      /// A computed jump's target that the jump cache does not have, not checked yet.
      case target
      /// Way out: 0 taken, 1 fall-through.
      case way(fall: Bool)
      /// The budget is short.
      case budget
    }
    var kind: Kind
    var block: UnsafeMutablePointer<Block>
    var site: UnsafeMutablePointer<UInt8>
    var resume: UnsafeMutablePointer<UInt8>
    /// Where the fast path goes on with its result in xmm0.
    var commit: UnsafeMutablePointer<UInt8>
    var op: Int
    /// What memory does not know at the jump; what is in registers there; and behind the micro-op.
    var dirty: UInt32
    var before: UInt32
    var loaded: UInt32
    /// Whether the fast path goes on with floating-point exceptions being collected.
    var floatLive = false
    /// The micro-op whose condition codes memory does not know.
    var deferred: UnsafeMutablePointer<MicroOp>?
    /// The load also does what the micro-op behind it does: the upper half of the vector is zero.
    var zeroes = false
  }

  /// A jump out of line, and what is in registers there.
  struct Jump {
    var site: UnsafeMutablePointer<UInt8>
    var dirty: UInt32
    var loaded: UInt32
  }

  var asm: Assembler
  let cache: CodeCache
  /// The unit, first block first; and the block being translated.
  let unit: [UnsafeMutablePointer<Block>]
  var block: UnsafeMutablePointer<Block>
  let options: JITOptions
  let natives: NativeTable
  let scratch: TranslatorScratch
  let hostOf: UnsafeMutablePointer<UInt8>
  let slotOf: UnsafeMutablePointer<UInt8>
  var opCount: Int
  /// Beyond this nothing new is begun.
  let limit: UnsafeMutablePointer<UInt8>

  /// Host registers that hold a slot at all.
  var mapped: UInt32 = 0
  var loaded: UInt32 = 0
  var dirty: UInt32 = 0
  /// Whether the unit leads back to itself: then all of the map is in registers at every head.
  var isLoop = false
  /// How many groups of accesses the loop remembers pages for, and where (``CodeCache/data(_:)``).
  var siteCount = 0
  var record = 0
  /// Where the block's micro-ops begin in the plan of accesses.
  var planStart = 0
  /// Whether a host register holds groups' distances to the host; and whose it is.
  var usesDelta = false
  var inDelta: Int16 = -1
  /// Floating-point slots known to hold a boxed single.
  var boxed: UInt32 = 0
  /// The host is known to collect floating-point exceptions, until somebody is called.
  var floatLive = false
  /// Index of the micro-op being translated.
  var at = 0
  /// The micro-op whose condition codes memory does not know; and behind which code the host's flags are those.
  var deferred: UnsafeMutablePointer<MicroOp>?
  var hostFlagsAt: UnsafeMutablePointer<UInt8>?

  static let generalPool: [HostRegister] = [
    Host.rsi, Host.rdi, 8, 9, 10, 11, Host.rbp, 12, 13,
  ]
  static let floatPool: ArraySlice<UInt8> = Array(18...30)[...]
  /// For guests with SSE, whose micro-ops have two operands.
  static let vectorPool: ArraySlice<UInt8> = Array(18...31)[...]
  /// Registers that survive calls.
  static let preserved: UInt32 = 1 << 5 | 1 << 12 | 1 << 13

  /// Translates blocks as one and makes their code known to them.
  ///
  /// - Returns: whether there was room.
  static func translate(
    _ unit: [UnsafeMutablePointer<Block>], _ cache: CodeCache, _ options: JITOptions,
    _ natives: NativeTable, _ scratch: TranslatorScratch
  ) -> Bool {
    guard let first = unit.first else { return false }
    var translator = Translator(unit, first, cache, options, natives, scratch)
    defer { translator.forgetMap() }
    guard translator.run() else {
      cache.overflowed = true
      for block in unit { block.pointee.head = 0 }
      return false
    }
    cache.commit(translator.asm.p)
    translator.finish()
    return true
  }

  private init(
    _ unit: [UnsafeMutablePointer<Block>], _ first: UnsafeMutablePointer<Block>,
    _ cache: CodeCache, _ options: JITOptions, _ natives: NativeTable,
    _ scratch: TranslatorScratch
  ) {
    self.unit = unit
    block = first
    self.cache = cache
    self.options = options
    self.natives = natives
    self.scratch = scratch
    hostOf = scratch.hostOf
    slotOf = scratch.slotOf
    opCount = 0
    asm = Assembler(p: cache.writable + cache.used)
    limit = cache.writable + (cache.size - CodeCache.margin)
  }

  private mutating func run() -> Bool {
    scratch.cold.removeAll(keepingCapacity: true)
    scratch.fixups.removeAll(keepingCapacity: true)
    scratch.entries.removeAll(keepingCapacity: true)
    guard asm.p < limit else { return false }
    isLoop = unit.count > 1
    take(block)
    if unit.count == 1 {
      let last = block.pointee.ops[opCount - 1]
      isLoop =
        options.chains && last.op.isDirect && UInt64(bitPattern: last.imm) == block.pointee.pc
        && block.pointee.secondPA == Block.onePage
    }
    planAccesses()
    chooseMap()
    planEdges()
    let written = writtenByUnit
    for (index, next) in unit.enumerated() {
      take(next)
      planStart = scratch.plan.starts[index]
      loaded = 0
      dirty = 0
      let kill = scratch.edges.kills[index]
      if index == 0, kill < 0 { enter() }
      begin(written, deferred: scratch.edges.mains[index])
      block.pointee.head = UInt32(asm.p - cache.writable)
      countDown()
      while at < opCount {
        guard asm.p < limit else { return false }
        if at == kill {
          join(written)
          scratch.edges.joins[index] = asm.p
        }
        translate()
      }
      guard asm.p < limit else { return false }
    }
    for (index, next) in unit.enumerated() where index > 0 || scratch.edges.kills[0] >= 0 {
      guard asm.p < limit else { return false }
      take(next)
      loaded = 0
      enter()
      if scratch.edges.kills[index] < 0 {
        asm.jmp(to: cache.writable + Int(next.pointee.head))
      } else {
        guard lead(to: index, from: nil, written) else { return false }
      }
    }
    guard writeEdges(written) else { return false }
    for fixup in scratch.fixups {
      Assembler.patch(fixup.site, to: cache.writable + Int(fixup.block.pointee.head))
    }
    return finishCold()
  }

  /// The state in which a block begins.
  mutating func begin(_ written: UInt32, deferred source: UnsafeMutablePointer<MicroOp>?) {
    inDelta = -1
    if isLoop {
      // All of the map is in registers at the head, and what the unit writes counts as dirty.
      loaded = mapped
      dirty = written
    }
    forgetFloat()
    at = 0
    deferred = source
    hostFlagsAt = nil
    findLiveFlags()
  }

  /// Takes the block's instructions from the budget.
  mutating func countDown() {
    asm.ri(5, Host.r15, Int32(truncatingIfNeeded: block.pointee.count))
    cold(.budget, jump(Condition.sign))
  }

  /// Translates the next micro-op.
  mutating func translate() {
    let op = block.pointee.ops[at]
    prepareFlags(op)
    let aside = putAside(op)
    emit(op)
    if let aside { hostOf[Int(aside.slot)] = aside.host }
    at += 1
  }

  /// The way in from outside.
  private mutating func enter() {
    scratch.entries.append(asm.p)
    at = 0
    deferred = nil
    if isLoop {
      checkRecord()
      loadAll()
    }
  }

  mutating func take(_ next: UnsafeMutablePointer<Block>) {
    block = next
    opCount = next.pointee.opCount
  }

  /// Makes the code known to the blocks.
  private func finish() {
    for (index, block) in unit.enumerated() {
      let entry = scratch.entries[index] - cache.writable
      block.pointee.head = 0
      block.pointee.grouped = usesDelta
      if isLoop, block.pointee.depth == 0 { block.pointee.depth = 1 }
      block.pointee.takenSite = 0
      block.pointee.fallSite = 0
      block.pointee.code = cache.address(entry)
      block.pointee.entry = UInt32(entry)
      block.pointee.leader = unit.count > 1 ? unit[0] : nil
      block.pointee.nextInUnit = index + 1 < unit.count ? unit[index + 1] : nil
    }
    for way in scratch.ways {
      if way.fall {
        way.block.pointee.fallSite = way.site
        way.block.pointee.fallStub = way.stub
      } else {
        way.block.pointee.takenSite = way.site
        way.block.pointee.takenStub = way.stub
      }
    }
    scratch.ways.removeAll(keepingCapacity: true)
  }

  // MARK: The map

  /// Counts how often slots are used and gives registers to the first.
  private mutating func chooseMap() {
    for block in unit {
      // What an inner loop uses counts for more.
      let weight = UInt32(1) << UInt32(3 * min(block.pointee.depth, 4))
      for index in 0..<block.pointee.opCount {
        let op = block.pointee.ops[index]
        let shape = shape(of: op)
        if shape.contains(.a) { count(op.a, weight) }
        if shape.contains(.b) { count(op.b, weight) }
        if shape.contains(.c) { count(op.c, weight) }
        if shape.contains(.d) { count(op.d, weight) }
      }
    }
    give(usesDelta ? Self.generalPool.dropLast() : Self.generalPool[...], float: false)
    give(natives.floatControl == nil ? Self.floatPool : Self.vectorPool, float: true)
    for slot in scratch.used { scratch.uses[Int(slot)] = 0 }
    scratch.used.removeAll(keepingCapacity: true)
  }

  @inline(__always)
  private func count(_ slot: UInt8, _ weight: UInt32) {
    guard slot != Slot.zero, slot != Slot.sink, !Self.isFlagSlot(slot), !isUpper(slot) else {
      return
    }
    if scratch.uses[Int(slot)] == 0 { scratch.used.append(slot) }
    scratch.uses[Int(slot)] &+= weight
  }

  private mutating func give(_ pool: ArraySlice<UInt8>, float: Bool) {
    let least: UInt32 = isLoop ? 1 : 2
    for register in pool.prefix(options.registers) {
      var best: UInt8 = 0
      var most: UInt32 = least &- 1
      for slot in scratch.used
      where scratch.uses[Int(slot)] > most && isSSE(slot) == float
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

  /// Whether a slot is kept in an SSE register.
  @inline(__always)
  private func isSSE(_ slot: UInt8) -> Bool {
    natives.floatControl == nil ? Self.isFloat(slot) : isVector(slot)
  }

  @inline(__always)
  static func isFloat(_ slot: UInt8) -> Bool { slot >= Slot.fp && slot < Slot.fp + 32 }

  private func forgetMap() {
    forEach(mapped) { hostOf[Int(slotOf[Int($0)])] = Self.nowhere }
  }

  /// The registers whose slots the unit writes.
  private var writtenByUnit: UInt32 {
    var result: UInt32 = 0
    for block in unit {
      for index in 0..<block.pointee.opCount {
        let op = block.pointee.ops[index]
        guard shape(of: op).contains(.d) else { continue }
        let host = hostOf[Int(op.d)]
        if host != Self.nowhere { result |= 1 << UInt32(host) }
      }
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
      asm.rm0f(0x10, host - 16, Host.rbx, offset, w: false, prefix: slotPrefix)
    }
  }

  /// The prefix of moves between an SSE register and what it holds: a double, or a whole vector.
  private var slotPrefix: UInt8 { natives.floatControl == nil ? 0xf2 : 0 }

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
        asm.rm0f(0x11, host - 16, Host.rbx, offset, w: false, prefix: slotPrefix)
      }
      rest &= rest &- 1
    }
  }

  /// What must be stored where the block ends: temporaries are dead.
  var dirtyAtEnd: UInt32 { withoutTemporaries(dirty) }

  private func withoutTemporaries(_ set: UInt32) -> UInt32 {
    var result = set
    forEach(set) {
      let slot = slotOf[Int($0)]
      if slot >= Slot.temp && slot < Slot.temp + 16 { result &= ~(1 << UInt32($0)) }
    }
    return result
  }

  /// Everything is in memory and registers hold nothing.
  mutating func forgetRegisters() {
    loaded = 0
    dirty = 0
    forgetFloat()
  }

  mutating func forgetFloat() {
    boxed = 0
    floatLive = false
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

  /// Whether the micro-op is a load to a vector in a register, which makes its upper half zero.
  private var zeroesUpper: Bool {
    let op = block.pointee.ops[at]
    guard op.op.loads, op.op != .ldv, isVector(op.d) else { return false }
    let host = hostOf[Int(op.d)]
    return host >= 16 && host != Self.nowhere
  }

  /// Says where a jump leads; call it when the micro-op is complete.
  mutating func cold(
    _ kind: Cold.Kind, _ jump: Jump, commit: UnsafeMutablePointer<UInt8>? = nil
  ) {
    scratch.cold.append(
      Cold(
        kind: kind, block: block, site: jump.site, resume: asm.p, commit: commit ?? asm.p, op: at,
        dirty: jump.dirty, before: jump.loaded, loaded: loaded, floatLive: floatLive,
        deferred: deferred, zeroes: zeroesUpper))
  }

  private mutating func finishCold() -> Bool {
    scratch.ways.removeAll(keepingCapacity: true)
    let base = cache.writable
    /// Forgets the pages of a loop's accesses.
    var forget: UnsafeMutablePointer<UInt8>?
    if siteCount > 0 {
      forget = asm.p
      forgetSites()
    }
    for index in scratch.cold.indices {
      guard asm.p < limit else { return false }
      let cold = scratch.cold[index]
      take(cold.block)
      asm.bind(cold.site)
      switch cold.kind {
      case .step, .helper:
        var stub = cache.stubs.helper
        if case .step = cold.kind { stub = cache.stubs.step }
        store(cold.dirty)
        resolve(cold)
        opOffset(cold.op)
        blockAddress(Host.rdx)
        asm.call(base + stub)
        zeroUpper(cold)
        if let forget, stub == cache.stubs.step {
          // The access may have changed translations, if only by reading page tables.
          asm.load(Host.rax, Host.rbx, Stubs.slot(Slot.pagesTag))
          asm.rip(Alu.cmp, Host.rax, base + record)
          let same = asm.jccShort(Condition.equal)
          asm.call(forget)
          asm.bindShort(same)
        }
        refill(cold)
        asm.jmp(to: cold.resume)
      case .site(let group): siteMissed(cold, group)
      case .leader(let group, let tag): leaderMissed(cold, group, tag)
      case .target: targetMissed(cold)
      case .forget:
        if let forget { asm.call(forget) }
        asm.jmp(to: cold.resume)
      case .collect:
        if let control = natives.floatControl {
          asm.load(Host.rax, Host.rbx, Self.offset(control), w: false)
          asm.ri(4, Host.rax, 0xffc0, w: false)
          asm.ri(7, Host.rax, 0x1f80, w: false)
        } else {
          asm.mi(7, Host.rbx, Stubs.slot(Slot.fpRounding), imm: 0)
        }
        let directed = asm.jcc(Condition.notEqual)
        collect()
        asm.jmp(to: cold.resume)
        asm.bind(directed)
        fallthrough
      case .rest:
        store(cold.dirty)
        resolve(cold)
        opOffset(cold.op)
        blockAddress(Host.rdx)
        asm.jmp(to: base + cache.stubs.rest)
      case .way(let fall):
        if isLoop { store(withoutTemporaries(cold.dirty)) }
        if let source = cold.deferred {
          loaded = cold.loaded
          dirty = cold.dirty
          deferred = source
          hostFlagsAt = nil
          storeFlags()
        }
        if isWithinPage(fall: fall) {
          let site = isLoop ? asm.jmp() : cold.site
          let stub = UInt32(asm.p - base)
          asm.bind(site)
          scratch.ways.append(
            TranslatorScratch.Way(
              block: block, fall: fall, site: UInt32(site - base), stub: stub))
          asm.constantKeepingFlags(
            Host.rcx, Int64(Int(bitPattern: Block.Link(block, fall: fall).raw)))
          asm.jmp(to: base + cache.stubs.follow)
        } else {
          jumpCached(wayTarget(fall: fall))
        }
      case .budget:
        store(cold.dirty)
        resolve(cold)
        asm.constantKeepingFlags(
          Host.rcx, Int64(Int(bitPattern: block)) &+ Int64(Stubs.exitBudget))
        asm.jmp(to: base + cache.stubs.budget)
      }
    }
    return true
  }

  mutating func resolve(_ cold: Cold) {
    if let source = cold.deferred { resolve(source) }
  }

  /// Has the host collect floating-point exceptions.
  mutating func collect() {
    asm.loadFloatState(cache.writable + Stubs.floatState)
    asm.storeImmediate(Host.rbx, Stubs.slot(Slot.floatLive), 1)
  }

  mutating func blockAddress(_ register: HostRegister) {
    asm.constantKeepingFlags(register, Int64(Int(bitPattern: block)))
  }

  /// Takes up again what the fast path has in registers.
  mutating func refill(_ cold: Cold) {
    if cold.floatLive { collect() }
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
