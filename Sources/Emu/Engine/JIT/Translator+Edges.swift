#if arch(x86_64) && os(Linux)
// Within a loop blocks hand deferred condition codes on: a block that soon gives them new values
// (before its "kill") may begin with what its usual predecessor left. Whoever comes another way, from
// outside for one, goes through a copy of what lies before the kill.
extension Translator {
  /// What is known of a unit's blocks; by block.
  struct Edges {
    /// The micro-op that gives the condition codes new values first, negative where a block
    /// begins with them in memory.
    var kills: [Int] = []
    /// What is deferred at the end, and at the head.
    var outs: [UnsafeMutablePointer<MicroOp>?] = []
    var mains: [UnsafeMutablePointer<MicroOp>?] = []
    /// Where copies join.
    var joins: [UnsafeMutablePointer<UInt8>?] = []
    /// Jumps to copies: to which block, with what deferred.
    var jumps:
      [(site: UnsafeMutablePointer<UInt8>, to: Int, source: UnsafeMutablePointer<MicroOp>?)] = []
  }

  /// Most micro-ops before the kill.
  private static let reach = 12

  /// Decides what blocks hand on.
  mutating func planEdges() {
    scratch.edges.jumps.removeAll(keepingCapacity: true)
    scratch.edges.kills = unit.indices.map { isLoop ? kill(unit[$0], $0) : -1 }
    scratch.edges.joins = unit.map { _ in nil }
    scratch.edges.outs = unit.map { isLoop ? left(by: $0) : nil }
    scratch.edges.mains = unit.indices.map { index in
      guard scratch.edges.kills[index] >= 0 else { return nil }
      // The one in the innermost loop, and of those the last: the way back.
      let from = unit.indices.filter { leads(unit[$0], to: unit[index]) }
      let deepest = from.map { unit[$0].pointee.depth }.max()
      let chosen = from.last { unit[$0].pointee.depth == deepest }
      return chosen.flatMap { scratch.edges.outs[$0] }
    }
  }

  private func leads(
    _ block: UnsafeMutablePointer<Block>, to target: UnsafeMutablePointer<Block>
  ) -> Bool {
    let last = block.pointee.ops[block.pointee.opCount - 1]
    return last.op.isDirect && UInt64(bitPattern: last.imm) == target.pointee.pc
      || last.op != .goto && last.op != .call && block.pointee.end == target.pointee.pc
  }

  private func kill(_ block: UnsafeMutablePointer<Block>, _ number: Int) -> Int {
    let start = scratch.plan.starts[number]
    for index in 0..<max(block.pointee.opCount - 1, 0) {
      let op = block.pointee.ops[index]
      if let form = FlagForm(op) {
        let isWhole = usesDelta && index > 0 ? !scratch.plan.live[start + index - 1] : true
        return form == .count || form == .lost || !isWhole ? -1 : index
      }
      guard index < Self.reach, shape(of: op) != [], op.op != .helper, op.op != .setcc,
        !Self.isFlagSlot(op.a), !Self.isFlagSlot(op.b)
      else { return -1 }
    }
    return -1
  }

  /// The micro-op whose condition codes can still be told at a block's end.
  private func left(by block: UnsafeMutablePointer<Block>) -> UnsafeMutablePointer<MicroOp>? {
    var source: UnsafeMutablePointer<MicroOp>?
    for index in 0..<max(block.pointee.opCount - 1, 0) {
      let at = block.pointee.ops + index
      if let form = form(at.pointee) {
        source = form == .lost ? nil : at
        continue
      }
      let op = at.pointee
      let shape = shape(of: op)
      if shape == [] || op.op == .setFlags {
        source = nil
      } else if shape.contains(.d), !op.op.storesD, let found = source,
        form(found.pointee)?.slots(found.pointee).contains(op.d) == true
      {
        source = nil
      }
    }
    return source
  }

  private func number(_ block: UnsafeMutablePointer<Block>) -> Int {
    unit.firstIndex(of: block) ?? 0
  }

  // MARK: At a block's end

  /// Stores the condition codes unless a block of the loop takes them as they are.
  mutating func endFlags() {
    guard deferred != nil else { return }
    if isLoop, scratch.edges.outs[number(block)] != nil {
      let next = [inner(fall: false), inner(fall: true)].compactMap { $0 }
      if next.contains(where: { scratch.edges.kills[number($0)] >= 0 }) { return }
    }
    storeFlags()
  }

  /// Whether the end of this block is as the head of another wants it.
  func leadsStraight(to next: UnsafeMutablePointer<Block>) -> Bool {
    let index = number(next)
    if scratch.edges.kills[index] < 0 { return deferred == nil }
    let main = scratch.edges.mains[index]
    return main == nil ? deferred == nil : main == scratch.edges.outs[number(block)]
  }

  /// Makes a jump lead to another block of the loop.
  mutating func edge(
    _ site: UnsafeMutablePointer<UInt8>, _ next: UnsafeMutablePointer<Block>
  ) {
    if leadsStraight(to: next) {
      scratch.fixups.append((site, next))
    } else {
      scratch.edges.jumps.append((site, number(next), deferred))
    }
  }

  // MARK: Copies

  /// The state in which copies join.
  mutating func join(_ written: UInt32) {
    loadAll()
    dirty = written
    forgetFloat()
    inDelta = -1
    deferred = nil
    hostFlagsAt = nil
  }

  /// A copy of what lies before the kill, and a jump to what follows.
  mutating func lead(
    to index: Int, from source: UnsafeMutablePointer<MicroOp>?, _ written: UInt32
  ) -> Bool {
    take(unit[index])
    planStart = scratch.plan.starts[index]
    begin(written, deferred: source)
    countDown()
    while at < scratch.edges.kills[index] {
      guard asm.p < limit else { return false }
      translate()
    }
    join(written)
    guard let target = scratch.edges.joins[index] else { return false }
    asm.jmp(to: target)
    return true
  }

  /// The copies that jumps within the loop need.
  mutating func writeEdges(_ written: UInt32) -> Bool {
    var made: [(to: Int, source: UnsafeMutablePointer<MicroOp>?, at: UnsafeMutablePointer<UInt8>)] =
      []
    for jump in scratch.edges.jumps {
      guard asm.p < limit else { return false }
      if let same = made.first(where: { $0.to == jump.to && $0.source == jump.source }) {
        Assembler.patch(jump.site, to: same.at)
        continue
      }
      made.append((jump.to, jump.source, asm.p))
      asm.bind(jump.site)
      if scratch.edges.kills[jump.to] >= 0 {
        guard lead(to: jump.to, from: jump.source, written) else { return false }
      } else {
        loaded = mapped
        dirty = written
        deferred = jump.source
        hostFlagsAt = nil
        storeFlags()
        loadAll()
        asm.jmp(to: cache.writable + Int(unit[jump.to].pointee.head))
      }
    }
    return true
  }
}
#endif
