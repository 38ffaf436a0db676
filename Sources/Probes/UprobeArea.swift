import Engine
import GuestKernel

/// `[uprobes]`: the page of a process in which displaced instructions run; its first slot is the
/// break that return probes come back through.
///
/// A slot keeps its copy when it is released: the probe that comes back, or another one of the same
/// instruction, finds it ready, and need not have the guest synchronise its fetch. Slots that were
/// released longest ago are given away first.
final class UprobeArea: Archivable {
  @exclusivity(unchecked) private(set) var base: UInt64
  /// The page's frame, kept even where the program unmaps it: slots are written to it.
  @exclusivity(unchecked) private var pages: SpecialPages
  @exclusivity(unchecked) private var pa: UInt64
  @exclusivity(unchecked) private var slotSize: UInt64
  /// The free slots in the order of their release: a ring through slot 0, which is never free.
  @exclusivity(unchecked) private var slots: UnsafeMutablePointer<Slot>
  @exclusivity(unchecked) private var identity = AreaIdentity()
  /// What each slot holds the copy of, and which slot holds a copy: places with the same
  /// instruction share their slots.
  @exclusivity(unchecked) private var copies: [[UInt8]]
  @exclusivity(unchecked) private var held: [[UInt8]: Int] = [:]
  /// Tasks that wait for a slot.
  @exclusivity(unchecked) private(set) var queue = WaitQueue()

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

  /// A page without slots.
  init(placeholderFor a: Archive) {
    (base, pa, slotSize) = (0, 0, 0)
    pages = a.placeholder(SpecialPages.self)
    copies = []
    slots = .allocate(capacity: 1)
  }

  func archive(_ a: Archive) {
    a("base", &base)
    a.ref("pages", &pages)
    a("slotSize", &slotSize)
    a.ref("identity", &identity)
    a("copies", &copies)
    a.ref("queue", &queue)
    a.parts("slots") { archiveSlots(a) }
    a.parts("held") { archiveHeld(a) }
    a.transient(["pa"])
    guard a.isReading else { return }
    a.afterwards { [self] in
      guard let first = pages.pages.first, copies.count > 1, slotSize > 0,
        slotSize <= 4096 / UInt64(copies.count), copies.allSatisfy({ $0.count <= slotSize })
      else { return a.fail("an [uprobes] page of \(copies.count) slots") }
      pa = first
    }
  }

  private func archiveSlots(_ a: Archive) {
    if a.isReading {
      slots.deallocate()
      slots = .allocate(capacity: max(copies.count, 1))
      slots.initialize(repeating: Slot(next: 0, previous: 0), count: max(copies.count, 1))
    }
    for slot in copies.indices {
      a("next", &slots[slot].next)
      a("previous", &slots[slot].previous)
      a("isFree", &slots[slot].isFree)
      a("writes", &slots[slot].writes)
      if !hasSlot(slots[slot].next) || !hasSlot(slots[slot].previous) {
        (slots[slot].next, slots[slot].previous) = (0, 0)
        a.fail("an [uprobes] page whose free slots lead nowhere")
      }
    }
  }

  /// Slots that hold the copy that is looked for by its bytes.
  private func archiveHeld(_ a: Archive) {
    var found = a.isReading ? [] : held.values.sorted()
    a("", &found)
    guard a.isReading else { return }
    held = [:]
    for slot in found {
      guard hasSlot(slot) else { return a.fail("no slot \(slot)") }
      held[copies[slot]] = slot
    }
  }

  /// Whether there is a slot of that number.
  func hasSlot(_ slot: Int) -> Bool { copies.indices.contains(slot) }

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
final class AreaIdentity: Archivable {
  init() {}
  init(placeholderFor a: Archive) {}
  func archive(_ a: Archive) {}
}

/// Where a copy of a place's instruction was last.
struct SlotHint {
  var area: AreaIdentity?
  var slot = 0
  /// How often the slot had been written by then.
  var writes: UInt64 = 0
}

extension SlotHint: Archived {
  static func placeholder(_ a: Archive) -> SlotHint { SlotHint() }
  mutating func archive(_ a: Archive) {
    a.ref("area", &area)
    a("slot", &slot)
    a("writes", &writes)
    // It is looked up in its own area only.
    if a.isReading, !(0..<4096).contains(slot) { a.fail("a hint at slot \(slot)") }
  }
}
