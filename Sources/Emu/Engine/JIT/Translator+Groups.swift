#if arch(x86_64) && os(Linux)
/// How an access of a loop finds its page, and how that went.
///
/// It outlives the code: what was learnt decides how the loop is translated anew.
struct SiteState {
  enum Mode {
    /// It remembers one range of pages.
    static let oneRange: UInt8 = 0
    /// It remembers two ranges that are neighbours in the guest but not on the host.
    static let twoRanges: UInt8 = 1
    /// It looks into the TLB.
    static let lookUp: UInt8 = 2
  }

  /// The instruction count at its last miss, and how many came soon after another.
  var last: UInt64 = 0
  var misses: UInt16 = 0
  var mode: UInt8 = 0

  /// Most of them in a unit.
  static let limit = 24
}

/// Accesses of a block whose addresses are a constant apart: one check serves them all.
///
/// They are within ``span`` bytes, and nothing between them can change translations.
struct AccessGroup {
  /// Where in the unit its block is; the first and the last of its accesses there.
  var block: Int
  var leader: Int
  var last: Int
  /// The first byte and the one behind the last, from the first access's base register.
  var low: Int64
  var high: Int64
  var count: Int
  var reads: Bool
  var writes: Bool
  /// Which of the loop's memories is its, negative for none.
  ///
  /// And how it is used.
  var site: Int32 = -1
  var mode: UInt8 = 0
  /// Whether another group's accesses come between its own; and where it keeps its distance to
  /// the host meanwhile.
  var interleaved = false
  var temp: Int32 = 0

  static let span: Int64 = 2048
}

/// Which accesses belong together, found before translation.
final class AccessPlan {
  /// By micro-op, all of the unit's blocks in a row: the group, -1 for none.
  var groupOf: [Int16] = []
  /// By micro-op: whether a group that began is not at its end here.
  var live: [Bool] = []
  var groups: [AccessGroup] = []
  /// Where each block's micro-ops begin in the arrays above.
  var starts: [Int] = []

  /// What is known of slots: value number and distance from it, while the epoch is the present one.
  private struct Value {
    var epoch: UInt32 = 0
    var number: UInt32 = 0
    var offset: Int64 = 0
  }
  private var values = [Value](repeating: Value(), count: 256)
  private var epoch: UInt32 = 0
  private var numbers: UInt32 = 0
  private var open: [(number: UInt32, writes: Bool, base: Int64, group: Int)] = []

  /// Sums of two values, the second one scaled, and their numbers.
  private var sums: [(a: UInt32, b: UInt32, scale: UInt8, number: UInt32)] = []

  func begin() {
    groupOf.removeAll(keepingCapacity: true)
    live.removeAll(keepingCapacity: true)
    groups.removeAll(keepingCapacity: true)
    starts.removeAll(keepingCapacity: true)
  }

  /// Adds the next block.
  ///
  /// - Parameters:
  ///   - block: the block.
  ///   - mixes: whether loads and stores may share a check.
  ///   - alone: whether none may be shared.
  ///   - translator: who knows what has host code.
  func add(
    _ block: UnsafeMutablePointer<Block>, mixes: Bool, alone: Bool, _ translator: Translator
  ) {
    let start = groupOf.count
    let first = groups.count
    starts.append(start)
    forgetValues()
    let ops = block.pointee.ops
    for index in 0..<block.pointee.opCount {
      let op = ops[index]
      let shape = translator.shape(of: op)
      groupOf.append(-1)
      live.append(false)
      if let access = op.op.hostAccess, shape != [],
        Int64(Int32(truncatingIfNeeded: op.imm)) == op.imm
      {
        if alone { forgetValues() }
        groupOf[start + index] = Int16(
          truncatingIfNeeded: place(
            op, index, Int64(access.size), access.writes, isIndexed: access.isIndexed, mixes: mixes)
        )
      }
      if shape == [] { forgetValues() }
      if shape.contains(.d), !op.op.storesD { written(op) }
    }
    var until = -1
    for index in 0..<block.pointee.opCount {
      let group = groupOf[start + index]
      if group >= 0 { until = max(until, groups[Int(group)].last) }
      live[start + index] = index < until
    }
    for group in first..<groups.count {
      for other in first..<groups.count
      where other != group && groups[other].count > 1
        && groups[other].leader < groups[group].last
        && groups[other].last > groups[group].leader
      {
        groups[group].interleaved = true
      }
    }
  }

  private func forgetValues() {
    epoch &+= 1
    open.removeAll(keepingCapacity: true)
    sums.removeAll(keepingCapacity: true)
  }

  private func value(_ slot: UInt8) -> (number: UInt32, offset: Int64) {
    let known = values[Int(slot)]
    if known.epoch == epoch { return (known.number, known.offset) }
    numbers &+= 1
    values[Int(slot)] = Value(epoch: epoch, number: numbers, offset: 0)
    return (numbers, 0)
  }

  private func written(_ op: MicroOp) {
    guard op.d != Slot.sink else { return }
    let near = -1 << 31..<1 << 31
    if op.op == .mov || op.op == .addi, op.a != Slot.zero, near.contains(Int(op.imm)) {
      let (number, offset) = value(op.a)
      let moved = op.op == .mov ? offset : offset &+ op.imm
      if near.contains(Int(moved)) {
        values[Int(op.d)] = Value(epoch: epoch, number: number, offset: moved)
        return
      }
    }
    numbers &+= 1
    values[Int(op.d)] = Value(epoch: epoch, number: numbers, offset: 0)
  }

  /// What an access's base is known by, and how far it is from that.
  private func base(_ op: MicroOp, isIndexed: Bool) -> (number: UInt32, offset: Int64) {
    // Of a constant address the whole is the base.
    guard isIndexed else { return op.a == Slot.zero ? (0, op.imm) : value(op.a) }
    let (a, offset) = op.a == Slot.zero ? (0, 0) : value(op.a)
    let (b, distance) = value(op.b)
    let sum = offset &+ distance &<< Int64(op.c)
    for known in sums where known.a == a && known.b == b && known.scale == op.c {
      return (known.number, sum)
    }
    numbers &+= 1
    sums.append((a, b, op.c, numbers))
    return (numbers, sum)
  }

  /// The group of an access: one that has room for it, or a new one.
  private func place(
    _ op: MicroOp, _ index: Int, _ size: Int64, _ isStore: Bool, isIndexed: Bool, mixes: Bool
  ) -> Int {
    let (number, offset) = base(op, isIndexed: isIndexed)
    let imm = !isIndexed && op.a == Slot.zero ? 0 : op.imm
    for entry in open.indices
    where open[entry].number == number && (mixes || open[entry].writes == isStore) {
      let at = open[entry].group
      let low = offset + imm - open[entry].base
      let group = groups[at]
      guard max(group.high, low + size) - min(group.low, low) <= AccessGroup.span else { continue }
      groups[at].low = min(group.low, low)
      groups[at].high = max(group.high, low + size)
      groups[at].last = index
      groups[at].count += 1
      if isStore { groups[at].writes = true } else { groups[at].reads = true }
      return at
    }
    groups.append(
      AccessGroup(
        block: starts.count - 1, leader: index, last: index, low: imm, high: imm + size,
        count: 1, reads: !isStore, writes: isStore))
    open.append((number, isStore, offset, groups.count - 1))
    return groups.count - 1
  }
}

extension Translator {
  /// Finds the unit's groups and says which of them remember their pages.
  ///
  /// While a loop runs and calls nobody, translations can't change: each of its groups keeps what it
  /// met last, and behind a call asks whether that still holds. Elsewhere a group looks into the TLB
  /// once.
  mutating func planAccesses() {
    let plan = scratch.plan
    plan.begin()
    guard options.inlineTLB else {
      for block in unit {
        plan.starts.append(plan.groupOf.count)
        for _ in 0..<block.pointee.opCount {
          plan.groupOf.append(-1)
          plan.live.append(false)
        }
      }
      return
    }
    let remembers = isLoop
    for block in unit {
      plan.add(block, mixes: remembers, alone: block.pointee.ungrouped, self)
    }
    if remembers { giveSites() }
    guard siteCount == 0 else {
      // What has no memory looks into the TLB each time.
      for index in plan.groupOf.indices where plan.groupOf[index] >= 0 {
        if plan.groups[Int(plan.groupOf[index])].site < 0 {
          plan.groupOf[index] = -1
        }
      }
      markLive()
      return
    }
    var temps: Int32 = 0
    for index in plan.groups.indices {
      if index > 0, plan.groups[index - 1].block != plan.groups[index].block { temps = 0 }
      plan.groups[index].temp = temps
      if plan.groups[index].count > 1 { temps += 1 }
    }
    for index in plan.groupOf.indices where plan.groupOf[index] >= 0 {
      let group = plan.groups[Int(plan.groupOf[index])]
      if group.count < 2 || group.temp >= Stubs.temps || group.reads && group.writes {
        plan.groupOf[index] = -1
      }
    }
    markLive()
    usesDelta = plan.groupOf.contains { $0 >= 0 }
  }

  /// Says anew where groups are live, after some were given up.
  private func markLive() {
    let plan = scratch.plan
    for (number, block) in unit.enumerated() {
      let start = plan.starts[number]
      var until = -1
      for index in 0..<block.pointee.opCount {
        let group = plan.groupOf[start + index]
        if group >= 0 { until = max(until, plan.groups[Int(group)].last) }
        plan.live[start + index] = index < until
      }
    }
  }

  /// Gives memories to the groups of the loop, the innermost first.
  private mutating func giveSites() {
    let plan = scratch.plan
    guard !plan.groups.isEmpty else { return }
    let states = unit[0].pointee.sites
    var next = 0
    let deepest = unit.map(\.pointee.depth).max() ?? 0
    for depth in (0...deepest).reversed() {
      for group in plan.groups.indices
      where unit[plan.groups[group].block].pointee.depth == depth && next < SiteState.limit {
        plan.groups[group].mode = states?[next].mode ?? SiteState.Mode.oneRange
        let mixed = plan.groups[group].mode == SiteState.Mode.lookUp
        if !mixed { plan.groups[group].site = Int32(next) }
        next += 1
      }
    }
    guard plan.groups.contains(where: { $0.site >= 0 }) else { return }
    guard let record = cache.data(Self.siteOffset(next)) else {
      for group in plan.groups.indices { plan.groups[group].site = -1 }
      return
    }
    self.record = record
    siteCount = next
    let memory = UnsafeMutableRawPointer(cache.writable + record)
    // No hart has this tag.
    memory.storeBytes(of: UInt64.max, as: UInt64.self)
  }

  /// Where in the loop's record a site begins: lowest base address and how many, what to add to get
  /// to the host; and where there are two ranges, from which base address on what to add.
  static func siteOffset(_ site: Int) -> Int { 8 + site * siteSize }
  static let siteSize = 40
}
#endif
