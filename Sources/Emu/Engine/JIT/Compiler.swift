#if arch(x86_64) && os(Linux)
/// Turns a hart's blocks into host code.
final class Compiler {
  private let floats: NativeFloatTable
  private let scratch = TranslatorScratch()

  init(hart: Hart) { floats = NativeFloatTable(hart.isa.nativeFloat) }

  func compile(
    _ unit: [UnsafeMutablePointer<Block>], _ cache: CodeCache, _ options: JITOptions
  ) -> Bool {
    Translator.translate(unit, cache, options, floats, scratch)
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
      if block.pointee.remembers, (block.pointee.leader ?? block).pointee.misses < 0 {
        translateAnew(block, cache)
      }
      let jump = jumpCache + JumpEntry.index(block.pointee.pc)
      if jump.pointee.block == block { jump.pointee.code = block.pointee.code }
      x[Slot.exit] = 0
      left = unsafeBitCast(cache.address(cache.stubs.enter), to: Enter.self)(
        x, block.pointee.code, left)
      let exit = x[Slot.exit]
      // Something is pending, or pc says where to go on.
      if exit == 0 || exit == Stubs.exitToPC { return left }
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
    guard left > 0, !blocks.isFull else { return nil }
    x[Slot.block] = 0
    guard let next = find(target) else {
      // The fetch faulted, which begins an instruction.
      left &-= 1
      return nil
    }
    guard next.pointee.count <= left, next.pointee.code != 0 || heat(next) else { return nil }
    if jitOptions.chains, (from.pointee.pc ^ target) & TLB.pageMask == 0,
      from.pointee.secondPA == Block.onePage, next.pointee.secondPA == Block.onePage,
      from.pointee.flags == next.pointee.flags
    {
      blocks.chainCode(from, fall: fall, to: next)
    }
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
      guard let made = CodeCache(bytes: jitOptions.codeBytes) else {
        engine = .interpreter
        return false
      }
      blocks.code = made
      // What the jump caches hold so far knows no host code.
      for attached in ram.harts where attached.hart.blocks === blocks { attached.hart.flushJumps() }
    }
    guard let cache = blocks.code else { return false }
    let fresh = cache.isEmpty
    if compiler.compile(blocks.unit(around: block, jitOptions), cache, jitOptions) {
      return true
    }
    if fresh {
      // It will not fit later either.
      cache.overflowed = false
      block.pointee.heat = -1
    }
    return false
  }

  /// Translates a loop without memory of pages; the old code leads to the new.
  private func translateAnew(_ block: UnsafeMutablePointer<Block>, _ cache: CodeCache) {
    var unit: [UnsafeMutablePointer<Block>] = []
    var next = block.pointee.leader
    while let member = next {
      unit.append(member)
      next = member.pointee.nextInUnit
    }
    if unit.isEmpty { unit = [block] }
    let entries = unit.map(\.pointee.entry)
    for member in unit { member.pointee.remembers = false }
    guard compiler.compile(unit, cache, jitOptions) else { return }
    for (member, entry) in zip(unit, entries) {
      cache.redirect(entry, to: member.pointee.entry)
    }
  }

  /// Where compiled code goes on for a block that it found in the jump cache.
  func codeToJumpTo(_ block: UnsafeMutablePointer<Block>) -> UInt {
    if block.pointee.code != 0 { return block.pointee.code }
    guard let cache = blocks.code else { return 0 }
    return cache.address(cache.stubs.indirect)
  }
}

extension BlockCache {
  /// A block and those that lead to it again, if there are any: a loop, as far as it is known and not
  /// compiled yet.
  func unit(
    around first: UnsafeMutablePointer<Block>, _ options: JITOptions
  ) -> [UnsafeMutablePointer<Block>] {
    guard options.unitBlocks > 1, options.chains, first.pointee.secondPA == Block.onePage else {
      return [first]
    }
    // Reachable from the first, in an order in which what falls through follows.
    var found = [first]
    var successors: [[UnsafeMutablePointer<Block>]] = []
    var index = 0
    while index < found.count {
      let next = ways(of: found[index], first)
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
    let loop = zip(found, leads).filter(\.1).map(\.0).prefix(options.unitBlocks)
    return Array(loop)
  }

  /// Where a block leads within its page, as far as it was translated for the same circumstances and
  /// has no code yet.
  private func ways(
    of block: UnsafeMutablePointer<Block>, _ first: UnsafeMutablePointer<Block>
  ) -> [UnsafeMutablePointer<Block>] {
    let last = block.pointee.ops[block.pointee.opCount - 1]
    var targets: [UInt64] = []
    switch last.op {
    case .beq, .bne, .blt, .bge, .bltu, .bgeu:
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
        block == first || block.pointee.code == 0, block.pointee.heat >= 0
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
