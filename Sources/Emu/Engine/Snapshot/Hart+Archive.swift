extension Hart {
  /// Which slots are state: the others hold addresses of this process, or nothing at an instruction
  /// boundary.
  static let archivedSlots: [Range<Int>] = [
    Slot.zero..<Slot.temp, Slot.pc..<Slot.pending, Slot.count..<(Slot.exceptions + 1),
    Slot.reservation..<(Slot.reservation + 1), Slot.system..<Slot.total,
  ]

  /// Saves or restores what the guest can see of the hart, at an instruction boundary.
  ///
  /// With architectural caches that includes what they hold. Translated code is kept, as far as
  /// RAM's contents (``PhysicalMemory/restore(_:)``, before) did not drop it. Of several harts each
  /// must then ``leave()``.
  package func archive(_ archive: Archive) {
    archiveSlots(archive)
    isa.archive(archive, for: self)
    if let instructionCache { instructionCache.archive(archive, ram) }
    guard archive.isReading else { return }
    for slot in [
      Slot.pending, Slot.cause, Slot.tval, Slot.target, Slot.left, Slot.block, Slot.op, Slot.exit,
      Slot.stale,
    ] {
      x[slot] = 0
    }
    // Whether one had become deliverable is found out again.
    x[Slot.checkInterrupts] = 1
    if instructionCache != nil { blocks.clear() }
    flushTLB()
    flushJumps()
    isa.restored(self)
  }

  /// A fingerprint of the registers.
  ///
  /// What caches hold is not in it.
  public var registerHash: StateHash {
    var hash = StateHash()
    for range in Self.archivedSlots {
      hash.combine(
        StateHash(UnsafeRawBufferPointer(start: x + range.lowerBound, count: range.count * 8)))
    }
    return hash
  }

  private func archiveSlots(_ archive: Archive) {
    for range in Self.archivedSlots {
      var places: [UInt16] = []
      var values: [UInt64] = []
      if !archive.isReading {
        for slot in range where x[slot] != 0 {
          places.append(UInt16(truncatingIfNeeded: slot))
          values.append(x[slot])
        }
      }
      archive.raw(numbers: &places)
      archive.raw(numbers: &values)
      guard archive.isReading else { continue }
      guard places.count == values.count, places.allSatisfy({ range.contains(Int($0)) }) else {
        archive.fail("a hart has no such registers")
        return
      }
      for slot in range { x[slot] = 0 }
      for (place, value) in zip(places, values) where place != Slot.zero { x[Int(place)] = value }
    }
  }
}
