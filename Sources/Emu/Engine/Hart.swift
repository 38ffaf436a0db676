/// How faithfully stale caches are modelled.
public enum CacheModel: String, Sendable, CaseIterable {
  /// Stores are seen by instruction fetch, and page-table stores by translation, at once.
  case coherent
  /// Instruction bytes and translations stay as first seen until the guest executes the
  /// architecture's maintenance instruction on that hart.
  case architectural
}

/// Why a hart stopped running.
public enum HartStop: Sendable, Equatable {
  /// The count was reached.
  case budget
  /// It waits for an interrupt and none is pending.
  case waiting
  /// It was asked to stop (``Hart/requestStop()``).
  case requested
}

/// One hardware thread of a guest: its slots, its TLBs, and the loop that runs it.
///
/// Everything that the guest can see of it is in the slots (``Slot``); the rest are caches.
public final class Hart {
  /// Its number in the machine.
  public let index: Int
  /// The slots.
  public let x: UnsafeMutablePointer<UInt64>
  /// RAM and devices.
  public let bus: Bus
  /// RAM.
  public let ram: PhysicalMemory
  /// The instruction set.
  public let isa: any GuestISA
  /// How stale caches may be.
  public let cacheModel: CacheModel
  /// What runs micro-ops.
  @exclusivity(unchecked) public internal(set) var engine: BackEnd
  let jitOptions: JITOptions
  #if arch(x86_64) && os(Linux)
  lazy var compiler = Compiler(hart: self)
  #endif
  /// Who serves its environment calls, and lives as long as the hart runs; the ISA raises an exception
  /// where nobody does.
  @exclusivity(unchecked) public unowned(unsafe) var environment: (any HartEnvironment)? {
    didSet { servesCalls = environment != nil }
  }
  /// Whether somebody serves its environment calls.
  @exclusivity(unchecked) public private(set) var servesCalls = false
  /// TLB entries filled so far.
  public private(set) var tlbMisses: UInt64 = 0
  /// Accesses to devices so far.
  public private(set) var deviceAccesses: UInt64 = 0

  /// Sees every instruction; set with ``observe(_:)``.
  private(set) var observer: (any InsnObserver)?
  @exclusivity(unchecked) private var observedModes: UInt64 = 0
  /// Gets the number of every block that runs; set with ``log(_:modes:)``.
  private(set) var blockLog: BlockLog?
  private var loggedModes: UInt64 = 0
  private var blocksAreStale = false
  @exclusivity(unchecked) private(set) var blocks: BlockCache

  /// The translations in force, and those of other address spaces.
  @exclusivity(unchecked) private var space: SpaceTLB
  private var otherSpaces: [SpaceTLB] = []
  private let tlbCount: Int
  let jumpCache: UnsafeMutablePointer<JumpEntry>
  let instructionCache: InstructionCache?
  @exclusivity(unchecked) private var generations: UInt64 = 1
  private lazy var builder = BlockBuilder(hart: self)

  /// A hart at reset.
  ///
  /// - Parameters:
  ///   - index: its number.
  ///   - bus: RAM and devices.
  ///   - isa: its instruction set, of this hart alone.
  ///   - cacheModel: how stale caches may be.
  ///   - tlbCount: how many address translations in force at different times (modes) it keeps.
  ///   - sharing: a hart whose translated blocks it shares (coherent mode only).
  ///   - engine: what runs micro-ops; the interpreter where the host does not allow the JIT.
  ///   - jit: how the JIT works.
  public init(
    index: Int, bus: Bus, isa: any GuestISA, cacheModel: CacheModel, tlbCount: Int,
    sharing: Hart? = nil, engine: BackEnd = .standard, jit: JITOptions = JITOptions()
  ) {
    self.index = index
    self.bus = bus
    self.isa = isa
    self.cacheModel = cacheModel
    self.tlbCount = tlbCount
    self.engine = engine.resolved(for: isa)
    jitOptions = jit
    ram = bus.ram
    x = .allocate(capacity: Slot.total)
    x.initialize(repeating: 0, count: Slot.total)
    space = SpaceTLB(count: tlbCount, generation: 1)
    jumpCache = .allocate(capacity: JumpEntry.entries)
    jumpCache.initialize(
      repeating: .none, count: JumpEntry.entries)
    instructionCache =
      cacheModel == .architectural && !isa.fetchIsCoherent ? InstructionCache() : nil
    if cacheModel == .coherent, let sharing {
      blocks = sharing.blocks
    } else {
      blocks = BlockCache(ram: bus.ram)
    }
    x[Slot.hart] = UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
    x[Slot.isaObject] = UInt64(
      UInt(bitPattern: Unmanaged.passUnretained(isa as AnyObject).toOpaque()))
    x[Slot.jumpCache] = UInt64(UInt(bitPattern: jumpCache))
    x[Slot.conditionCodes] = isa.hasConditionCodes ? 1 : 0
    x[Slot.reservation] = .max
    setMode(mmuIndex: 0, flags: 0)
    ram.attach(self)
  }

  deinit {
    ram.detach(ObjectIdentifier(self))
    x.deallocate()
    space.deallocate()
    for other in otherSpaces { other.deallocate() }
    jumpCache.deallocate()
  }

  /// The hart behind a helper's first argument.
  @inlinable @inline(__always)
  public static func of(_ x: UnsafeMutablePointer<UInt64>) -> Unmanaged<Hart> {
    guard let raw = UnsafeRawPointer(bitPattern: UInt(x[Slot.hart])) else {
      preconditionFailure("a hart's slots name their hart from its initialiser on")
    }
    return .fromOpaque(raw)
  }

  // MARK: Counts

  /// Instructions begun since reset, exact inside helpers and device accesses too.
  public var count: UInt64 {
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])),
      let op = UnsafeMutablePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return x[Slot.count] }
    let begun = x[Slot.target] &- x[Slot.left] &- UInt64(bitPattern: block.pointee.count)
    return begun &+ UInt64(op.pointee.gi)
  }

  /// Exact pc of the instruction being executed, or of the next one while the hart is stopped.
  public var pc: UInt64 {
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])),
      let op = UnsafeMutablePointer<MicroOp>(bitPattern: UInt(x[Slot.op]))
    else { return x[Slot.pc] }
    return block.pointee.pc &+ UInt64(block.pointee.offsets[Int(op.pointee.gi)])
  }

  /// Blocks translated so far by this hart's cache.
  public var blocksTranslated: Int { blocks.translated }

  // MARK: Modes and maintenance

  /// Says under which TLB and which translation flags the hart runs from now on.
  public func setMode(mmuIndex: Int, flags: UInt64) {
    x[Slot.mmuIndex] = UInt64(mmuIndex)
    x[Slot.translationFlags] = flags
    x[Slot.tlb] = UInt64(UInt(bitPattern: space.tlbs + mmuIndex * TLB.entries))
    updateTag()
  }

  private func updateTag() {
    x[Slot.jumpTag] = space.generation &<< 24 | x[Slot.mmuIndex] &<< 16 | x[Slot.translationFlags]
    x[Slot.pagesTag] =
      space.pagesGeneration &<< 24 | x[Slot.mmuIndex] &<< 16 | UInt64(index) & 0xffff
  }

  /// What compiled loops remember of translations is not to be used any more.
  private func forgetPages() {
    generations &+= 1
    space.pagesGeneration = generations
    updateTag()
  }

  /// Goes on under the translations of another address space, without any at first unless it is one
  /// that was left a short while ago.
  ///
  /// - Parameters:
  ///   - old: what names the space left: the whole page-table register, so that neither another root nor
  ///     another ASID or PCID finds what was meant for this one.
  ///   - key: the same of the space entered.
  public func switchSpace(from old: UInt64, to key: UInt64) {
    guard key != old else { return }
    generations &+= 1
    for other in otherSpaces.indices where otherSpaces[other].key == old {
      otherSpaces[other].key = .max
    }
    space.key = old
    space.putAside = generations
    let found = otherSpaces.firstIndex { $0.key == key }
    if found == nil, otherSpaces.count < SpaceTLB.limit - 1 {
      otherSpaces.append(space)
      space = SpaceTLB(count: tlbCount, generation: generations)
    } else {
      let oldest = otherSpaces.indices.min {
        otherSpaces[$0].putAside < otherSpaces[$1].putAside
      }
      swap(&space, &otherSpaces[found ?? oldest ?? 0])
      if found == nil {
        space.isStale = true
      }
      if space.isStale {
        forgetFilled()
        forgetJumps()
      } else if space.hasStaleWrites {
        forEachFilled { space.tlbs[$0].write = TLBEntry.never }
      }
      if space.hasStaleWrites || space.isStale { forgetPages() }
      space.isStale = false
      space.hasStaleWrites = false
    }
    setMode(mmuIndex: Int(x[Slot.mmuIndex]), flags: x[Slot.translationFlags])
  }

  private func forgetFilled() {
    forEachFilled { space.tlbs[$0] = .empty }
    space.filledCount = 0
  }

  /// Forgets every translation of virtual addresses, in every address space.
  public func flushTLB() {
    for other in otherSpaces.indices { otherSpaces[other].isStale = true }
    guard space.filledCount > 0 else { return }
    forgetFilled()
    forgetPages()
    forgetJumps()
  }

  /// Forgets the translation of one page in every mode and every address space.
  public func flushTLB(page va: UInt64) {
    let index = TLB.index(va)
    for mode in 0..<tlbCount {
      space.tlbs[mode * TLB.entries + index] = .empty
      for other in otherSpaces { other.tlbs[mode * TLB.entries + index] = .empty }
    }
    forgetPages()
    for other in otherSpaces.indices {
      generations &+= 1
      otherSpaces[other].pagesGeneration = generations
      if otherSpaces[other].executed[index >> 6] & 1 << UInt64(index & 63) != 0 {
        otherSpaces[other].generation = generations
      }
    }
    if space.executed[index >> 6] & 1 << UInt64(index & 63) != 0 { forgetJumps() }
  }

  /// Makes every jump-cache entry invalid by a new generation.
  private func forgetJumps() {
    generations &+= 1
    space.generation = generations
    for index in space.executed.indices { space.executed[index] = 0 }
    updateTag()
  }

  private func forEachFilled(_ body: (Int) -> Void) {
    if space.filledCount <= SpaceTLB.filledLimit {
      for index in 0..<space.filledCount { body(Int(space.filled[index])) }
    } else {
      for index in 0..<(TLB.entries * tlbCount) { body(index) }
    }
  }

  /// Makes instruction fetch see every store made so far.
  public func synchronizeInstructionFetch() {
    guard let instructionCache else { return }
    instructionCache.clear()
    x[Slot.stale] = 0
    blocks.clear()
    flushJumps()
  }

  func flushJumps() {
    jumpCache.update(
      repeating: .none, count: JumpEntry.entries)
  }

  func forgetJump(to block: UnsafeMutablePointer<Block>) {
    let entry = jumpCache + JumpEntry.index(block.pointee.pc)
    if entry.pointee.block == block { entry.pointee = .none }
  }

  func forgetWritable(hostPage: UnsafeMutableRawPointer) {
    for other in otherSpaces.indices { otherSpaces[other].hasStaleWrites = true }
    forgetPages()
    let page = UInt64(UInt(bitPattern: hostPage))
    forEachFilled {
      let tag = space.tlbs[$0].write
      if tag != TLBEntry.never, (tag & ~TLBEntry.clean) &+ space.tlbs[$0].addend == page {
        space.tlbs[$0].write = TLBEntry.never
      }
    }
  }

  /// Has the next store to each page take the slow path, which marks the page dirty.
  func forgetDirty() {
    for other in otherSpaces.indices { otherSpaces[other].hasStaleWrites = true }
    forgetPages()
    forEachFilled {
      if space.tlbs[$0].write != TLBEntry.never { space.tlbs[$0].write |= TLBEntry.clean }
    }
  }

  /// Attaches or detaches the observer.
  ///
  /// Blocks are translated anew, so that none costs nothing.
  ///
  /// The observer itself may do so: the instruction about to be executed is then the new one's. The
  /// hart keeps it, so that one that keeps the machine is to be detached.
  ///
  /// - Parameters:
  ///   - observer: who is to see instructions; `nil`: nobody.
  ///   - modes: whose: bit n for those that run while n is the MMU index (``setMode(mmuIndex:flags:)``).
  public func observe(_ observer: (any InsnObserver)?, modes: UInt64 = .max) {
    self.observer = observer
    observedModes = observer == nil ? 0 : modes
    // Blocks say in their flags whether they report, so those of before are not found. They stay
    // where they are: one of them may be running.
    flushJumps()
    lookAround()
  }

  /// Has all blocks translated anew, behind the present one.
  public func forgetBlocks() {
    blocksAreStale = true
    lookAround()
  }

  /// Attaches or detaches a log of blocks.
  ///
  /// - Parameters:
  ///   - log: what gets them; `nil`: nothing.
  ///   - modes: whose, as of ``observe(_:modes:)``.
  public func log(_ log: BlockLog?, modes: UInt64 = .max) {
    blockLog = log
    loggedModes = log == nil ? 0 : modes
    flushJumps()
    lookAround()
  }

  /// A byte of a block's instructions, as they were fetched.
  func byte(of block: UnsafeMutablePointer<Block>, _ offset: UInt64) -> UInt8 {
    let va = block.pointee.pc &+ offset
    let isSecond = (va ^ block.pointee.pc) & TLB.pageMask != 0
    let pa =
      isSecond ? block.pointee.secondPA & TLB.pageMask | va & 4095 : block.pointee.pa &+ offset
    let half = fetch16(pa & ~1)
    return UInt8(truncatingIfNeeded: half >> UInt16((pa & 1) * 8))
  }

  /// Leaves the running block behind the present instruction, if nothing else does.
  func lookAround() {
    if x[Slot.pending] == Pending.none.rawValue { x[Slot.pending] = Pending.reconsider.rawValue }
  }

  // MARK: Requests

  /// Says that an interrupt may have become deliverable.
  ///
  /// The hart looks before its next instruction.
  public func requestInterruptCheck() {
    x[Slot.checkInterrupts] = 1
    lookAround()
  }

  /// Has the hart look around after the instruction being executed, whose walk has changed what
  /// translations are.
  public func requestLook() { lookAround() }

  /// Stops the hart after the instruction being executed.
  public func requestStop() { x[Slot.pending] = Pending.stop.rawValue }

  /// Makes an exception pending.
  ///
  /// The instruction being executed has no further effect.
  @inline(__always)
  public func raise(_ cause: UInt64, _ tval: UInt64) {
    x[Slot.pending] = Pending.exception.rawValue
    x[Slot.cause] = cause
    x[Slot.tval] = tval
  }

  // MARK: Reservations

  /// Called by the machine when another hart is about to run: stores to the reserved bytes by
  /// others are looked at from now on.
  public func leave() {
    let pa = x[Slot.reservation]
    if pa != .max, ram.contains(pa) { ram.watch(pa, .reserved) }
  }

  func holdsReservation(inPage page: UInt64) -> Bool {
    x[Slot.reservation] & ~4095 == page && x[Slot.reservation] != .max
  }

  func reservationWritten(_ pa: UInt64, _ count: UInt64) {
    let reserved = x[Slot.reservation]
    guard reserved != .max else { return }
    let line = reserved & ~63
    if pa < line &+ 64, line < pa &+ count { x[Slot.reservation] = .max }
  }

  // MARK: Running

  /// Runs until ``count`` reaches `target` exactly, the hart waits, or a stop is requested.
  public func run(until target: UInt64) -> HartStop {
    x[Slot.target] = target
    if x[Slot.pending] != Pending.stop.rawValue { x[Slot.pending] = 0 }
    while true {
      if x[Slot.pending] == Pending.stop.rawValue {
        x[Slot.pending] = 0
        return .requested
      }
      x[Slot.pending] = 0
      takeInterrupts()
      // What an interrupt leads to may end everything, such as a processor that shuts down.
      if x[Slot.pending] == Pending.stop.rawValue { continue }
      let count = x[Slot.count]
      guard count < target else { return .budget }
      if blocks.isFull || blocksAreStale { clearBlocks() }
      // An ISA that must see every instruction gets a budget of one.
      let single = x[Slot.single]
      let end = single == 0 ? target : count &+ 1
      x[Slot.target] = end
      let left = Int64(clamping: end &- count)
      guard var block = find(x[Slot.pc]) else {
        x[Slot.count] = count &+ 1
        takeException()
        continue
      }
      if block.pointee.count > left {
        guard let short = translate(x[Slot.pc], limit: Int(left)) else {
          x[Slot.count] = count &+ 1
          takeException()
          continue
        }
        block = short
      }
      let rest =
        engine == .jit && single == 0 ? runCompiled(block, left) : interpret(x, block, left)
      x[Slot.block] = 0
      x[Slot.count] = end &- UInt64(bitPattern: rest)
      let completed = x[Slot.pending] != Pending.exception.rawValue
      switch Pending(rawValue: x[Slot.pending]) ?? .none {
      case .none, .reconsider, .stop: break
      case .exception: takeException()
      case .environment:
        x[Slot.pending] = 0
        environment?.call(from: self)
      case .wait:
        x[Slot.pending] = 0
        if !isa.wakes(self) { return .waiting }
      }
      if single != 0, completed { isa.completedSingle(single, for: self) }
    }
  }

  /// Takes an exception that an environment call left pending.
  public func takePendingException() {
    if x[Slot.pending] == Pending.exception.rawValue { takeException() }
  }

  /// Between two blocks of compiled code, does what ``run(until:)`` would do there: takes the exception
  /// that is pending, calls the environment, looks for interrupts.
  ///
  /// `Slot.left` is what is left of the budget before and after.
  ///
  /// - Returns: whether compiled code may go on.
  func settle() -> Bool {
    x[Slot.block] = 0
    x[Slot.count] = x[Slot.target] &- x[Slot.left]
    switch Pending(rawValue: x[Slot.pending]) ?? .none {
    case .none, .reconsider: x[Slot.pending] = 0
    case .exception: takeException()
    case .environment:
      x[Slot.pending] = 0
      environment?.call(from: self)
    case .wait, .stop: return false
    }
    if x[Slot.pending] != Pending.stop.rawValue {
      x[Slot.pending] = 0
      // At the end ``run(until:)`` does, as with the interpreter.
      if x[Slot.count] != x[Slot.target] { takeInterrupts() }
    }
    x[Slot.left] = x[Slot.target] &- x[Slot.count]
    // An ISA that must see every instruction sees it from Swift.
    return x[Slot.pending] | x[Slot.single] == 0 && x[Slot.left] != 0 && !blocksAreStale
  }

  /// Takes all that is deliverable between two instructions: behind a debug trap there may be an
  /// interrupt, before its handler's first instruction.
  private func takeInterrupts() {
    while x[Slot.checkInterrupts] != 0 {
      x[Slot.checkInterrupts] = 0
      guard isa.takeInterrupt(self), x[Slot.pending] == 0 else { return }
    }
  }

  private func takeException() {
    x[Slot.exceptions] &+= 1
    x[Slot.pending] = 0
    isa.takeException(self)
  }

  private func clearBlocks() {
    blocksAreStale = false
    for attached in ram.harts where attached.hart.blocks === blocks {
      attached.hart.x[Slot.stale] = 0
      attached.hart.flushJumps()
    }
    blocks.clear()
  }

  /// The block at `pc`, translated if need be.
  ///
  /// `nil` with the exception pending.
  func find(_ pc: UInt64) -> UnsafeMutablePointer<Block>? {
    let entry = jumpCache + JumpEntry.index(pc)
    if entry.pointee.pc == pc, entry.pointee.tag == x[Slot.jumpTag] { return entry.pointee.block }
    guard let pa = fetchAddress(pc) else { return nil }
    // A listed block was made when all of its page could be fetched from, and would run on beyond
    // what may be fetched now.
    if fetchWasPartial { return translate(pc, limit: nil) }
    let flags = blockFlags
    var found = blocks.find(pa: pa, pc: pc, flags: flags)
    if let block = found, block.pointee.secondPA != Block.onePage {
      guard let second = fetchAddress((pc & ~4095) &+ 4096) else { return nil }
      // The walk may have written to the very bytes, and so have dropped the block.
      if second != block.pointee.secondPA || !block.pointee.valid { found = nil }
    }
    guard let block = found ?? translate(pc, limit: nil) else { return nil }
    if block.pointee.flags != .max {
      entry.pointee = JumpEntry(
        pc: pc, tag: x[Slot.jumpTag], block: block, code: codeToJumpTo(block))
      noteExecuted(pc)
      if block.pointee.secondPA != Block.onePage { noteExecuted(pc &+ 4096) }
    }
    return block
  }

  /// What a block must have been made under to serve this hart now.
  ///
  /// Harts that share blocks need not all be observed: bits 16 and 17 say which blocks
  /// report to an observer and to a log.
  private var blockFlags: UInt64 {
    x[Slot.translationFlags] | (isObserved ? 1 << 16 : 0) | (isLogged ? 1 << 17 : 0)
  }

  /// Whether the block log gets the blocks of the present mode.
  private var isLogged: Bool { loggedModes >> x[Slot.mmuIndex] & 1 != 0 }

  /// Whether the observer sees the instructions of the present mode.
  private var isObserved: Bool { observedModes >> x[Slot.mmuIndex] & 1 != 0 }

  /// Tells the observer of a helper's access, which no micro-op announces.
  ///
  /// - Parameters:
  ///   - va: the virtual address.
  ///   - size: bytes.
  ///   - isStore: whether it stores.
  public func tellObserver(_ va: UInt64, _ size: Int, isStore: Bool) {
    guard isObserved, let observer else { return }
    observer.willAccess(va, size: size, isStore: isStore, on: self)
  }

  /// Notes that jump-cache entries depend on the translation of the page of `va`.
  private func noteExecuted(_ va: UInt64) {
    let index = TLB.index(va)
    space.executed[index >> 6] |= 1 << UInt64(index & 63)
  }

  /// Translates at `pc`.
  ///
  /// With a limit, the block serves this one run and nobody finds it.
  private func translate(_ pc: UInt64, limit: Int?) -> UnsafeMutablePointer<Block>? {
    guard let pa = fetchAddress(pc) else { return nil }
    let partial = fetchWasPartial
    builder.begin(
      pc: pc, pa: pa, limit: partial ? 1 : min(limit ?? .max, jitOptions.maxInsns),
      observing: isObserved, logging: isLogged)
    builder.partial = partial
    isa.translate(builder, for: self)
    guard builder.count > 0 else { return nil }
    x[Slot.pending] = 0
    builder.close(pairs: engine == .interpreter)
    let listed = limit == nil && !partial
    let block = blocks.insert(
      builder, flags: listed ? blockFlags : .max, listed: listed)
    // One instruction that nobody finds again can't be stale; it need not be found by stores.
    if instructionCache == nil, !partial {
      blocks.cover(block)
      ram.watch(pa, .code)
      if block.pointee.secondPA != Block.onePage { ram.watch(block.pointee.secondPA, .code) }
    }
    return block
  }

  private var fetchWasPartial = false

  /// The physical address, in RAM, that instructions at `va` are fetched from.
  ///
  /// `nil` with the exception pending.
  func fetchAddress(_ va: UInt64) -> UInt64? {
    let entry = currentTLB + TLB.index(va)
    fetchWasPartial = false
    if entry.pointee.execute == va & TLB.pageMask {
      return entry.pointee.addend &+ va &- UInt64(UInt(bitPattern: ram.host)) &+ ram.base
    }
    guard let found = isa.walk(va, .fetch, for: self) else { return nil }
    guard ram.contains(found.pa, 2) else {
      isa.accessFault(va, .fetch, for: self)
      return nil
    }
    if found.wholePage {
      fill(va, found, .fetch)
    } else {
      fetchWasPartial = true
    }
    return found.pa
  }

  /// The 16 bits of an instruction at `va` as this hart fetches them; zero where it can't.
  ///
  /// For describing an instruction that has been fetched already.
  public func insnHalf(_ va: UInt64) -> UInt16 {
    guard let pa = fetchAddress(va) else { return 0 }
    return fetch16(pa)
  }

  func fetch16(_ pa: UInt64) -> UInt16 {
    if let instructionCache { return instructionCache.fetch16(pa, ram) }
    return ram.contains(pa, 2) ? ram.pointer(pa).loadUnaligned(as: UInt16.self) : 0
  }

  var currentTLB: UnsafeMutablePointer<TLBEntry> {
    space.tlbs + Int(x[Slot.mmuIndex]) * TLB.entries
  }

  private func fill(_ va: UInt64, _ found: Translation, _ access: Access) {
    tlbMisses &+= 1
    if jitOptions.singleTLBEntry {
      forEachFilled { space.tlbs[$0] = .empty }
      space.filledCount = 0
    }
    let page = va & TLB.pageMask
    let index = Int(x[Slot.mmuIndex]) * TLB.entries + TLB.index(va)
    // A stale translation is one that the TLB still has, in whichever engine.
    if cacheModel == .architectural, space.tlbs[index].addend != 0 { forgetPages() }
    if space.filledCount < SpaceTLB.filledLimit {
      space.filled[space.filledCount] = Int32(truncatingIfNeeded: index)
    }
    space.filledCount = min(space.filledCount + 1, SpaceTLB.filledLimit + 1)
    let writable = found.writable && !ram.isWatched(found.pa)
    if writable, access == .store { ram.willWrite(found.pa) }
    space.tlbs[index] = TLBEntry(
      read: found.readable ? page : TLBEntry.never,
      write: !writable
        ? TLBEntry.never : ram.isDirty(found.pa) ? page : page | TLBEntry.clean,
      execute: found.executable ? page : TLBEntry.never,
      addend: UInt64(UInt(bitPattern: ram.pointer(found.pa & TLB.pageMask))) &- page)
  }

  // MARK: Data accesses (the slow path, and what helpers use)

  /// Physical address for a data access of `size` bytes that does not cross a page.
  ///
  /// `nil` with the exception pending. Fills the TLB.
  public func physical(_ va: UInt64, _ size: UInt64, _ access: Access) -> UInt64? {
    let entry = currentTLB + TLB.index(va)
    let tag = access == .store ? entry.pointee.write : entry.pointee.read
    if tag & ~TLBEntry.clean == va & TLB.pageMask {
      let pa = entry.pointee.addend &+ va &- UInt64(UInt(bitPattern: ram.host)) &+ ram.base
      if tag & TLBEntry.clean != 0 {
        ram.willWrite(pa)
        entry.pointee.write = va & TLB.pageMask
      }
      return pa
    }
    guard let found = isa.walk(va, access, for: self) else { return nil }
    if !found.wholePage {
      guard isa.allows(found.pa, size, va, access, for: self) else { return nil }
    } else if ram.contains(found.pa) {
      fill(va, found, access)
    }
    return found.pa
  }

  /// Where on the host `count` bytes at `va` are, if they lie in one page of RAM that the TLB knows for
  /// this access and nobody observes accesses: compiled code would access them just so.
  public func hostBytes(
    _ va: UInt64, _ count: Int, writing: Bool
  ) -> UnsafeMutableRawPointer? {
    let entry = currentTLB + TLB.index(va)
    let tag = writing ? entry.pointee.write : entry.pointee.read
    let last = va &+ UInt64(count) &- 1
    guard tag == va & TLB.pageMask, tag == last & TLB.pageMask, !isObserved else { return nil }
    return UnsafeMutableRawPointer(bitPattern: UInt(entry.pointee.addend &+ va))
  }

  /// Loads `size` (1, 2, 4, 8) bytes, zero-extended; unaligned and page-crossing allowed.
  ///
  /// - Returns: zero with the exception pending where the access faults.
  public func load(_ va: UInt64, _ size: UInt64) -> UInt64 {
    let inPage = 4096 &- (va & 4095)
    if size > inPage {
      guard let low = physical(va, inPage, .load),
        let high = physical(va &+ inPage, size &- inPage, .load)
      else { return 0 }
      var value: UInt64 = 0
      for index in 0..<size {
        let pa = index < inPage ? low &+ index : high &+ (index &- inPage)
        guard let byte = ram.load(pa, as: UInt8.self) else {
          isa.accessFault(va &+ index, .load, for: self)
          return 0
        }
        value |= UInt64(byte) &<< (index &* 8)
      }
      return value
    }
    guard let pa = physical(va, size, .load) else { return 0 }
    return loadPhysical(pa, size, va)
  }

  /// Loads bytes that are about to be stored to: faults as the store would.
  ///
  /// - Returns: zero with the exception pending where a store would fault.
  public func loadForModify(_ va: UInt64, _ size: UInt64) -> UInt64 {
    let inPage = 4096 &- (va & 4095)
    if size > inPage {
      guard physical(va, inPage, .store) != nil,
        physical(va &+ inPage, size &- inPage, .store) != nil
      else { return 0 }
      return load(va, size)
    }
    guard let pa = physical(va, size, .store) else { return 0 }
    return loadPhysical(pa, size, va)
  }

  /// Loads from RAM or a device by physical address.
  public func loadPhysical(_ pa: UInt64, _ size: UInt64, _ va: UInt64) -> UInt64 {
    if ram.contains(pa, size) {
      let from = ram.pointer(pa)
      switch size {
      case 1: return UInt64(from.load(as: UInt8.self))
      case 2: return UInt64(from.loadUnaligned(as: UInt16.self))
      case 4: return UInt64(from.loadUnaligned(as: UInt32.self))
      default: return from.loadUnaligned(as: UInt64.self)
      }
    }
    guard pa & (size &- 1) == 0, let value = bus.readDevice(pa, size: Int(size)) else {
      isa.accessFault(va, .load, for: self)
      return 0
    }
    deviceAccesses &+= 1
    return size == 8 ? value : value & ((1 &<< (size &* 8)) &- 1)
  }

  /// Stores the low `size` bytes of `value`.
  ///
  /// Nothing is written where any byte faults.
  public func store(_ va: UInt64, _ size: UInt64, _ value: UInt64) {
    let inPage = 4096 &- (va & 4095)
    if size > inPage {
      guard let low = physical(va, inPage, .store),
        let high = physical(va &+ inPage, size &- inPage, .store)
      else { return }
      guard ram.contains(low, inPage) else {
        isa.accessFault(va, .store, for: self)
        return
      }
      guard ram.contains(high, size &- inPage) else {
        isa.accessFault(va &+ inPage, .store, for: self)
        return
      }
      storeRAM(low, inPage, value)
      storeRAM(high, size &- inPage, value &>> (inPage &* 8))
      return
    }
    guard let pa = physical(va, size, .store) else { return }
    storePhysical(pa, size, value, va)
  }

  /// Stores to RAM or a device by physical address.
  public func storePhysical(_ pa: UInt64, _ size: UInt64, _ value: UInt64, _ va: UInt64) {
    if ram.contains(pa, size) {
      storeRAM(pa, size, value)
      return
    }
    // A device may write to memory that this hart has reserved.
    x[Slot.reservation] = .max
    guard pa & (size &- 1) == 0, bus.writeDevice(pa, size: Int(size), value) else {
      isa.accessFault(va, .store, for: self)
      return
    }
    deviceAccesses &+= 1
  }

  private func storeRAM(_ pa: UInt64, _ size: UInt64, _ value: UInt64) {
    ram.willWrite(pa)
    let to = ram.pointer(pa)
    switch size {
    case 1: to.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    case 2: to.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
    case 4: to.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
    case 8: to.storeBytes(of: value, as: UInt64.self)
    default:
      for index in 0..<size {
        let byte = UInt8(truncatingIfNeeded: value &>> (index &* 8))
        (to + Int(index)).storeBytes(of: byte, as: UInt8.self)
      }
    }
    if ram.isWatched(pa), ram.flaggedWrite(pa, size, by: self) { lookAround() }
  }

  /// What memory has at an address that this hart has accessed just now, without another access:
  /// ``TLB`` entries, statistics and devices are left alone.
  ///
  /// - Parameters:
  ///   - va: the first byte.
  ///   - size: how many: 1, 2, 4, 8.
  ///   - mmuIndex: the mode of the access (``setMode(mmuIndex:flags:)``).
  /// - Returns: `nil` where the TLB does not know the page, or for a device.
  public func peek(_ va: UInt64, _ size: Int, mmuIndex: Int) -> UInt64? {
    guard (0..<tlbCount).contains(mmuIndex) else { return nil }
    var value: UInt64 = 0
    for index in (0..<UInt64(size)).reversed() {
      let at = va &+ index
      let page = at & TLB.pageMask
      let entry = space.tlbs[mmuIndex * TLB.entries + TLB.index(at)]
      guard entry.read == page || entry.write == page || entry.execute == page,
        let from = UnsafePointer<UInt8>(bitPattern: UInt(entry.addend &+ at))
      else { return nil }
      value = value << 8 | UInt64(from.pointee)
    }
    return value
  }

  /// Notes that the page of `pa` was read as a page table, so that a store to it is seen by
  /// translation at once (coherent mode only).
  public func notePageTable(_ pa: UInt64) {
    if cacheModel == .coherent { ram.watch(pa, .pageTable) }
  }
}
