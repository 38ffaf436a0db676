import Engine
import GuestKernel

/// `[uprobes]`: the page of a process in which displaced instructions run; its first slot is the
/// break that return probes come back through.
///
/// A slot keeps its copy when it is released: the probe that comes back finds it ready, and need not
/// have the guest synchronise its fetch. Slots that were released longest ago are given away first.
final class UprobeArea {
  let base: UInt64
  /// The page's frame, kept even where the program unmaps it: slots are written to it.
  private let pages: SpecialPages
  private let pa: UInt64
  private let slotSize: UInt64
  /// Whose copy each slot holds.
  private var owners: [UprobePoint?]
  /// The slot that holds a probe's copy.
  private var held: [ObjectIdentifier: Int] = [:]
  /// The free slots in the order of their release: a ring through slot 0, which is never free.
  private var next: [Int]
  private var previous: [Int]
  private var isFree: [Bool]
  /// Tasks that wait for a slot.
  let queue = WaitQueue()

  init(base: UInt64, pages: SpecialPages, slotSize: Int, slots: Int) {
    self.base = base
    self.pages = pages
    pa = pages.pages[0]
    self.slotSize = UInt64(slotSize)
    let count = max(slots, 2)
    owners = Array(repeating: nil, count: count)
    isFree = Array(repeating: true, count: count)
    next = (0..<count).map { ($0 + 1) % count }
    previous = (0..<count).map { ($0 + count - 1) % count }
  }

  /// A slot that holds `image`, the copy of a probe's instruction with what stands behind it.
  ///
  /// - Returns: its number, and whether its bytes changed; `nil` where none is free.
  func take(
    for point: UprobePoint, _ image: () -> [UInt8], _ ram: PhysicalMemory
  ) -> (slot: Int, written: Bool)? {
    if let slot = held[ObjectIdentifier(point)], isFree[slot] {
      unlink(slot)
      return (slot, false)
    }
    let slot = next[0]
    guard slot != 0 else { return nil }
    unlink(slot)
    if let old = owners[slot].map(ObjectIdentifier.init), held[old] == slot { held[old] = nil }
    owners[slot] = point
    held[ObjectIdentifier(point)] = slot
    ram.write(pa &+ UInt64(slot) &* slotSize, image())
    return (slot, true)
  }

  private func unlink(_ slot: Int) {
    isFree[slot] = false
    next[previous[slot]] = next[slot]
    previous[next[slot]] = previous[slot]
  }

  /// The slot is free again.
  func release(_ slot: Int) {
    isFree[slot] = true
    let last = previous[0]
    next[last] = slot
    previous[slot] = last
    next[slot] = 0
    previous[0] = slot
    // Everybody: one who is about to die would take a wake-up to the grave that others wait for.
    queue.wakeAll()
  }

  func address(_ slot: Int) -> UInt64 { base &+ UInt64(slot) &* slotSize }
}
