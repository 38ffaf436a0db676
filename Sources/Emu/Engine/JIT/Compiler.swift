#if arch(x86_64) && os(Linux)
/// Turns a hart's blocks into host code.
final class Compiler {
  let natives: NativeTable
  private let scratch = TranslatorScratch()

  init(hart: Hart) { natives = NativeTable(hart.isa) }

  func compile(
    _ unit: [UnsafeMutablePointer<Block>], _ cache: CodeCache, _ options: JITOptions
  ) -> Bool {
    Translator.translate(unit, cache, options, natives, scratch)
  }
}

extension Hart {
  private typealias Enter = @convention(c) (UnsafeMutablePointer<UInt64>, UInt, Int64) -> Int64

  /// Runs from `entry`, which fits in the budget, in compiled code as far as that goes.
  ///
  /// - Returns: what is left of the budget. `Slot.pc` is exact.
  func runCompiled(_ entry: UnsafeMutablePointer<Block>, _ budget: Int64) -> Int64 {
    var block = entry
    var left = budget
    while true {
      guard block.pointee.code != 0 || heat(block), let cache = blocks.code else {
        return runAlone(block, left)
      }
      let jump = jumpCache + JumpEntry.index(block.pointee.pc)
      if jump.pointee.block == block { jump.pointee.code = block.pointee.code }
      x[Slot.exit] = 0
      left = unsafeBitCast(cache.enter, to: Enter.self)(x, block.pointee.code, left)
      let exit = x[Slot.exit]
      // Something is pending, or pc says where to go on.
      if exit == 0 || exit == Stubs.exitToPC {
        if x[Slot.stale] != 0 { renew(cache) }
        guard exit != 0, x[Slot.pending] | x[Slot.checkInterrupts] | x[Slot.single] == 0,
          let next = compiled(&left)
        else { return left }
        block = next
        continue
      }
      let way = Block.Link(raw: UInt(exit & ~Stubs.exitBudget))
      guard let from = way.block else { return left }
      if exit & Stubs.exitBudget != 0 {
        x[Slot.pc] = from.pointee.pc
        return left
      }
      guard let next = follow(from, way.isFall, &left) else { return left }
      block = next
    }
  }

  /// Where a way of compiled code leads, linked if both blocks lie in one page.
  ///
  /// - Returns: `nil` where the caller must look around first.
  private func follow(
    _ from: UnsafeMutablePointer<Block>, _ fall: Bool, _ left: inout Int64
  ) -> UnsafeMutablePointer<Block>? {
    let target =
      fall
      ? from.pointee.end : UInt64(bitPattern: from.pointee.ops[from.pointee.opCount - 1].imm)
    x[Slot.pc] = target
    guard let next = compiled(&left) else { return nil }
    if jitOptions.chains, (from.pointee.pc ^ target) & TLB.pageMask == 0,
      from.pointee.secondPA == Block.onePage, next.pointee.secondPA == Block.onePage,
      from.pointee.flags == next.pointee.flags
    {
      blocks.chainCode(from, fall: fall, to: next)
    }
    return next
  }

  /// The block at `Slot.pc`, with host code that fits in what is left.
  ///
  /// - Returns: `nil` where the caller must look around first.
  private func compiled(_ left: inout Int64) -> UnsafeMutablePointer<Block>? {
    guard left > 0, !blocks.isFull else { return nil }
    x[Slot.block] = 0
    guard let next = find(x[Slot.pc]) else {
      // The fetch faulted, which begins an instruction.
      left &-= 1
      return nil
    }
    guard next.pointee.count <= left, next.pointee.code != 0 || heat(next) else { return nil }
    return next
  }

  /// Runs a block that has no host code.
  private func runAlone(_ block: UnsafeMutablePointer<Block>, _ left: Int64) -> Int64 {
    let others = left &- block.pointee.count
    // Counts are exact meanwhile though the interpreter knows of one block's budget only.
    x[Slot.target] &-= UInt64(bitPattern: others)
    let rest = interpret(x, block, block.pointee.count)
    x[Slot.target] &+= UInt64(bitPattern: others)
    return others &+ rest
  }

  /// Notes that a block is about to run, and compiles it when it did so often enough.
  ///
  /// - Returns: whether it has host code.
  private func heat(_ block: UnsafeMutablePointer<Block>) -> Bool {
    guard block.pointee.heat >= 0, block.pointee.flags != .max else { return false }
    block.pointee.heat += 1
    guard block.pointee.heat >= jitOptions.threshold else { return false }
    if blocks.code == nil {
      let accrual: FloatAccrual =
        if let slot = isa.floatControl { .control(slot) } else {
          isa.nativeFloat.isEmpty ? .none : .flags
        }
      guard
        let made = CodeCache(
          bytes: jitOptions.codeBytes, accrual: accrual)
      else {
        engine = .interpreter
        return false
      }
      blocks.code = made
      // What the jump caches hold so far knows no host code.
      for attached in ram.harts where attached.hart.blocks === blocks { attached.hart.flushJumps() }
    }
    guard let cache = blocks.code else { return false }
    let fresh = cache.isEmpty
    if build(blocks.unit(around: block, jitOptions), cache) { return true }
    if fresh {
      // It will not fit later either.
      cache.overflowed = false
      block.pointee.heat = -1
    }
    return false
  }

  /// Translates the unit that asked for it anew.
  private func renew(_ cache: CodeCache) {
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.stale])) else { return }
    x[Slot.stale] = 0
    // Its loop may have become part of another one.
    let first = block.pointee.leader ?? block
    guard first.pointee.valid, first.pointee.code != 0 else { return }
    _ = build(BlockCache.unit(of: first), cache)
  }

  /// Compiles a unit; old code of its blocks leads to the new.
  private func build(_ unit: [UnsafeMutablePointer<Block>], _ cache: CodeCache) -> Bool {
    let entries = unit.map { $0.pointee.code == 0 ? nil : Optional($0.pointee.entry) }
    if unit[0].pointee.sites == nil {
      unit[0].pointee.sites = blocks.makeSites()
    }
    guard compiler.compile(unit, cache, jitOptions) else { return false }
    for (member, entry) in zip(unit, entries) {
      if let entry { cache.redirect(entry, to: member.pointee.entry) }
    }
    return true
  }

  /// Where compiled code goes on for a block that it found in the jump cache.
  func codeToJumpTo(_ block: UnsafeMutablePointer<Block>) -> UInt {
    if block.pointee.code != 0 { return block.pointee.code }
    guard let cache = blocks.code else { return 0 }
    return cache.address(cache.stubs.indirect)
  }
}

extension BlockCache {
  /// The blocks that were compiled together with one.
  static func unit(
    of first: UnsafeMutablePointer<Block>
  ) -> [UnsafeMutablePointer<Block>] {
    var unit: [UnsafeMutablePointer<Block>] = []
    var next = first.pointee.leader
    while let member = next {
      unit.append(member)
      next = member.pointee.nextInUnit
    }
    return unit.isEmpty ? [first] : unit
  }

  /// Memory for what a unit's accesses learn.
  func makeSites() -> UnsafeMutablePointer<SiteState> {
    let bytes = SiteState.limit * MemoryLayout<SiteState>.stride
    let sites = allocate((bytes + 15) & ~15).bindMemory(
      to: SiteState.self, capacity: SiteState.limit)
    sites.initialize(repeating: SiteState(), count: SiteState.limit)
    return sites
  }

  /// How often a block is compiled as part of one loop after the other.
  private static let rebuilds: UInt8 = 6

  /// A block and those that lead to it again, if there are any: a loop, as far as it is known.
  ///
  /// Loops within it that were compiled already become part of it.
  func unit(
    around first: UnsafeMutablePointer<Block>, _ options: JITOptions
  ) -> [UnsafeMutablePointer<Block>] {
    guard options.unitBlocks > 1, options.chains, first.pointee.secondPA == Block.onePage else {
      return [first]
    }
    let all = loop(around: first, options, absorbing: true)
    guard all.contains(where: { $0.pointee.code != 0 }) else {
      return all.count <= options.unitBlocks
        ? all : loop(around: first, options, absorbing: false)
    }
    // What was compiled together must stay together, or a block could live on in code of others.
    let whole =
      all.count <= options.unitBlocks
      && all.allSatisfy { block in
        block.pointee.rebuilt < Self.rebuilds
          && (block.pointee.code == 0
            || Self.unit(of: block.pointee.leader ?? block).allSatisfy(all.contains))
      }
    guard whole else { return loop(around: first, options, absorbing: false) }
    for block in all {
      block.pointee.rebuilt += 1
      // Blocks of inner loops are one deeper than those that are new.
      if block.pointee.depth > 0 { block.pointee.depth = min(block.pointee.depth + 1, 8) }
    }
    return all
  }

  private func loop(
    around first: UnsafeMutablePointer<Block>, _ options: JITOptions, absorbing: Bool
  ) -> [UnsafeMutablePointer<Block>] {
    // Reachable from the first, in an order in which what falls through follows.
    var found = [first]
    var successors: [[UnsafeMutablePointer<Block>]] = []
    var index = 0
    while index < found.count {
      let next = ways(of: found[index], first, absorbing: absorbing)
      successors.append(next)
      for block in next where !found.contains(block) && found.count < 2 * options.unitBlocks {
        found.append(block)
      }
      index += 1
    }
    guard found.count > 1 else { return found }
    var leads = [Bool](repeating: false, count: found.count)
    leads[0] = true
    var changed = true
    while changed {
      changed = false
      for index in found.indices.dropFirst() where !leads[index] {
        let reaches = successors[index].contains { next in
          found.firstIndex(of: next).map { leads[$0] } ?? false
        }
        if reaches {
          leads[index] = true
          changed = true
        }
      }
    }
    let loop = zip(found, leads).filter(\.1).map(\.0)
    return Self.inLine(absorbing ? loop : Array(loop.prefix(options.unitBlocks)))
  }

  /// The blocks in an order in which what falls through follows, the first one first.
  private static func inLine(
    _ loop: [UnsafeMutablePointer<Block>]
  ) -> [UnsafeMutablePointer<Block>] {
    var rest = loop
    var result: [UnsafeMutablePointer<Block>] = []
    var next = rest.isEmpty ? nil : Optional(rest[0])
    while let block = next ?? rest.first {
      rest.removeAll { $0 == block }
      result.append(block)
      let last = block.pointee.ops[block.pointee.opCount - 1]
      let follows =
        last.op == .goto ? UInt64(bitPattern: last.imm) : block.pointee.end
      next = rest.first { $0.pointee.pc == follows }
    }
    return result
  }

  /// Where a block leads within its page, as far as it was translated for the same circumstances and,
  /// unless absorbing, has no code yet.
  private func ways(
    of block: UnsafeMutablePointer<Block>, _ first: UnsafeMutablePointer<Block>, absorbing: Bool
  ) -> [UnsafeMutablePointer<Block>] {
    let last = block.pointee.ops[block.pointee.opCount - 1]
    var targets: [UInt64] = []
    switch last.op {
    case .beq, .bne, .blt, .bge, .bltu, .bgeu, .bcc:
      targets = [block.pointee.end, UInt64(bitPattern: last.imm)]
    case .goto: targets = [UInt64(bitPattern: last.imm)]
    default: break
    }
    return targets.compactMap { target in
      guard (target ^ first.pointee.pc) & TLB.pageMask == 0,
        let block = find(
          pa: first.pointee.pa &+ (target &- first.pointee.pc), pc: target,
          flags: first.pointee.flags),
        block.pointee.secondPA == Block.onePage, block.pointee.valid,
        block == first || absorbing || block.pointee.code == 0, block.pointee.heat >= 0
      else { return nil }
      return block
    }
  }

  /// Makes one of a compiled block's ways lead straight to compiled `target`.
  func chainCode(
    _ block: UnsafeMutablePointer<Block>, fall: Bool, to target: UnsafeMutablePointer<Block>
  ) {
    let site = fall ? block.pointee.fallSite : block.pointee.takenSite
    guard let code, site != 0, block.pointee.valid, target.pointee.valid else { return }
    if (fall ? block.pointee.fall : block.pointee.taken) != target {
      chain(block, fall: fall, to: target)
    }
    code.patch(site, to: target.pointee.entry)
  }
}
#else
extension Hart {
  func runCompiled(_ entry: UnsafeMutablePointer<Block>, _ budget: Int64) -> Int64 {
    interpret(x, entry, budget)
  }

  func codeToJumpTo(_ block: UnsafeMutablePointer<Block>) -> UInt { 0 }
}
#endif
