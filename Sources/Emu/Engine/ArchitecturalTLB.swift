/// Translations as an architectural TLB holds them (``CacheModel/architectural``): until the
/// maintenance instruction of their address or address space.
public struct ArchitecturalTLB: Sendable {
  /// A leaf entry of a page table as it was read.
  public struct Entry: Sendable {
    /// Its bits.
    public var entry: UInt64
    /// Its level; 0 is a small page.
    public var level: Int
    /// Where it was read.
    public var address: UInt64

    /// An entry of the given parts.
    public init(entry: UInt64, level: Int, address: UInt64) {
      self.entry = entry
      self.level = level
      self.address = address
    }
  }

  private struct Key: Hashable, Comparable {
    var space: UInt64
    var page: UInt64
    var level: Int

    static func < (a: Key, b: Key) -> Bool {
      (a.space, a.page, a.level) < (b.space, b.page, b.level)
    }
  }

  /// The space of global entries; no address-space number is as large.
  public static let globalSpace: UInt64 = .max
  /// Most entries.
  ///
  /// Hardware has room for no more either, and the guest must not fill the host's memory.
  public static let limit = 4096

  private var entries: [Key: Entry] = [:]

  /// An empty TLB.
  public init() {}

  /// Entries held.
  public var count: Int { entries.count }
  /// Whether there is no room for another: whoever fills it forgets all first, and with it what a
  /// hart's own TLB has from here.
  public var isFull: Bool { entries.count >= Self.limit }

  /// What is held for an address in a space, or globally.
  public func find(_ va: UInt64, space: UInt64) -> Entry? {
    for level in 0..<4 {
      let page = va >> UInt64(12 + 9 * level)
      for space in [space, Self.globalSpace] {
        if let found = entries[Key(space: space, page: page, level: level)] { return found }
      }
    }
    return nil
  }

  /// Holds an entry from now on.
  public mutating func insert(_ entry: Entry, _ va: UInt64, space: UInt64) {
    entries[Key(space: space, page: va >> UInt64(12 + 9 * entry.level), level: entry.level)] =
      entry
  }

  /// Forgets all.
  public mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Saves or restores what is held.
  public mutating func archive(_ archive: Archive) {
    var keys = archive.isReading ? [] : entries.keys.sorted()
    var number = keys.count
    archive.number(&number, each: 48)
    if archive.isReading {
      entries = [:]
      keys = Array(repeating: Key(space: 0, page: 0, level: 0), count: number)
    }
    for var key in keys {
      var entry = entries[key] ?? Entry(entry: 0, level: 0, address: 0)
      archive.raw(&key.space)
      archive.raw(&key.page)
      archive.raw(&key.level)
      archive.raw(&entry.entry)
      archive.raw(&entry.level)
      archive.raw(&entry.address)
      guard archive.isReading else { continue }
      guard (0..<4).contains(entry.level), entry.level == key.level else {
        archive.fail("a TLB entry of level \(entry.level)")
        return
      }
      entries[key] = entry
    }
  }

  /// Forgets the entries of an address or of all, in the spaces that `of` chooses.
  public mutating func remove(va: UInt64?, of: (_ space: UInt64) -> Bool) {
    entries = entries.filter { key, _ in
      if !of(key.space) { return true }
      if let va { return key.page != va >> UInt64(12 + 9 * key.level) }
      return false
    }
  }
}

/// Large pages that the hart's TLB, which knows small ones alone, may hold parts of: all of them
/// go with the one entry.
public struct LargePages: Sendable {
  private var keys: Set<UInt64> = []
  private var last: UInt64 = .max

  /// None.
  public init() {}

  /// Pages told apart.
  public var count: Int { keys.count }

  /// Notes that a part of the large page of `level` (1 and up) around `va` is about to be held.
  public mutating func note(_ va: UInt64, _ level: Int) {
    let key = Self.key(va, level)
    if key == last { return }
    last = key
    // Too many to tell apart: every address counts as one.
    if keys.count < ArchitecturalTLB.limit { keys.insert(key) }
  }

  /// Whether a part of a large page around `va` may be held.
  public func contains(_ va: UInt64) -> Bool {
    keys.count >= ArchitecturalTLB.limit
      || !keys.isEmpty && (1..<4).contains { keys.contains(Self.key(va, $0)) }
  }

  /// Forgets them: nothing is held any more.
  public mutating func removeAll() {
    keys.removeAll(keepingCapacity: true)
    last = .max
  }

  private static func key(_ va: UInt64, _ level: Int) -> UInt64 {
    (va >> UInt64(12 + 9 * level)) & (1 << 60 - 1) | UInt64(level) << 60
  }
}
