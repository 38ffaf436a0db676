import Engine
import GuestKernel

/// `[uprobes]`: the page of a process in which displaced instructions run; its first slot is the
/// break that return probes come back through.
///
/// A slot keeps its copy when it is released: the probe that comes back, or another one of the same
/// instruction, finds it ready, and need not have the guest synchronise its fetch. Slots that were
/// released longest ago are given away first.
final class UprobeArea {
  let base: UInt64
  /// The page's frame, kept even where the program unmaps it: slots are written to it.
  private let pages: SpecialPages
  private let pa: UInt64
  private let slotSize: UInt64
  /// The free slots in the order of their release: a ring through slot 0, which is never free.
  private let slots: UnsafeMutablePointer<Slot>
  private let identity = AreaIdentity()
  /// What each slot holds the copy of, and which slot holds a copy: places with the same
  /// instruction share their slots.
  private var copies: [[UInt8]]
  private var held: [[UInt8]: Int] = [:]
  /// Tasks that wait for a slot.
  let queue = WaitQueue()

  private struct Slot {
    var next: Int
    var previous: Int
    var isFree = true
    /// How often it was written.
    var writes: UInt64 = 0
  }

  init(base: UInt64, pages: SpecialPages, slotSize: Int, slots: Int) {
    self.base = base
    self.pages = pages
    pa = pages.pages[0]
    self.slotSize = UInt64(slotSize)
    let count = max(slots, 2)
    copies = Array(repeating: [], count: count)
    self.slots = .allocate(capacity: count)
    for slot in 0..<count {
      (self.slots + slot).initialize(
        to: Slot(next: (slot + 1) % count, previous: (slot + count - 1) % count))
    }
  }

  deinit { slots.deallocate() }

  /// A slot that holds the copy of a probe's instruction with what stands behind it.
  ///
  /// - Parameters:
  ///   - point: the probe.
  ///   - image: what the slot is to hold, always the same for a probe.
  ///   - ram: where it is.
  /// - Returns: its number, and whether its bytes changed; `nil` where none is free.
  func take(
    for point: UprobePoint, _ image: () -> [UInt8], _ ram: PhysicalMemory
  ) -> (slot: Int, written: Bool)? {
    if point.slotHint.area === identity {
      let slot = point.slotHint.slot
      if slots[slot].writes == point.slotHint.writes, slots[slot].isFree {
        unlink(slot)
        return (slot, false)
      }
    }
    let bytes = image()
    let known = held[bytes].flatMap { slots[$0].isFree ? $0 : nil }
    let slot = known ?? slots[0].next
    guard slot != 0 else { return nil }
    unlink(slot)
    if known == nil {
      if held[copies[slot]] == slot { held[copies[slot]] = nil }
      copies[slot] = bytes
      held[bytes] = slot
      slots[slot].writes &+= 1
      ram.write(pa &+ UInt64(slot) &* slotSize, bytes)
    }
    point.slotHint = SlotHint(area: identity, slot: slot, writes: slots[slot].writes)
    return (slot, known == nil)
  }

  private func unlink(_ slot: Int) {
    let (next, previous) = (slots[slot].next, slots[slot].previous)
    slots[slot].isFree = false
    slots[previous].next = next
    slots[next].previous = previous
  }

  /// The slot is free again.
  func release(_ slot: Int) {
    let last = slots[0].previous
    slots[slot].isFree = true
    slots[slot].previous = last
    slots[slot].next = 0
    slots[last].next = slot
    slots[0].previous = slot
    // Everybody: one who is about to die would take a wake-up to the grave that others wait for.
    queue.wakeAll()
  }

  func address(_ slot: Int) -> UInt64 { base &+ UInt64(slot) &* slotSize }
}

/// Tells areas apart, those of the past too: whoever remembers one keeps this and not its pages.
final class AreaIdentity {}

/// Where a copy of a place's instruction was last.
struct SlotHint {
  var area: AreaIdentity?
  var slot = 0
  /// How often the slot had been written by then.
  var writes: UInt64 = 0
}
