import Engine

/// Why a snapshot can't be taken, read or restored, in one line.
public struct SnapshotError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The line.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// The whole of a machine between two instructions: registers, RAM, devices, the guest kernel's
/// model, and what probes are doing.
///
/// Snapshots share the pages of RAM that did not change between them. The one that was taken or
/// restored last is kept by its machine too, to know what has changed since.
///
/// What is not in it: functions (probe handlers, observers), what lies on the host (files below
/// `--root`, block devices that are host files), output that was printed, figures about the emulator
/// itself.
public final class MachineSnapshot {
  /// Instructions begun by all harts.
  public let count: UInt64
  /// How many pages of RAM are not zero.
  public var pageCount: Int { ram.pageCount }
  /// Bytes that everything but RAM takes.
  public var stateSize: Int { state.count }

  let facts: MachineFacts
  let ram: RAMImage
  let state: [UInt8]
  let hostState: [UInt8]
  /// What the probes are that it names: kind and place.
  let probes: [String]
  /// The probes and the data of their handlers, on the machine that it was taken on.
  let externals: [AnyObject]
  /// Whose it is: elsewhere its probes are other objects.
  private(set) weak var machine: AnyObject?
  /// Whether it is known that it can be restored.
  var isProven: Bool
  private var knownIdentity: StateHash?

  init(
    count: UInt64, facts: MachineFacts, ram: RAMImage, state: [UInt8], hostState: [UInt8],
    probes: [String], externals: [AnyObject], machine: AnyObject
  ) {
    self.count = count
    self.facts = facts
    self.ram = ram
    self.state = state
    self.hostState = hostState
    self.probes = probes
    self.externals = externals
    self.machine = machine
    isProven = true
  }

  /// Tells snapshots apart: what one that was encoded as a difference asks of its parent.
  var identity: StateHash {
    if let knownIdentity { return knownIdentity }
    var hash = ram.hash
    hash.combine(StateHash(state))
    hash.combine(StateHash(hostState))
    knownIdentity = hash
    return hash
  }

  // MARK: Bytes

  /// "EMUSNAP" and a byte that no text has.
  private static let magic: UInt64 = 0x8a50_414e_5355_4d45
  /// 2: RISC-V's registers of a supervisor's trap lie elsewhere in a hart's state.
  private static let version: UInt32 = 2

  /// The snapshot as bytes, for another process or for a file.
  ///
  /// - Parameter parent: a snapshot that will be there when the bytes are read: only pages in which
  ///   this one differs from it are among them.
  /// - Returns: what ``init(decoding:parent:)`` reads.
  public func encoded(since parent: MachineSnapshot? = nil) -> [UInt8] {
    var header = Header(
      facts: facts, count: count, probes: probes, parent: parent?.identity, identity: identity)
    var (changed, zeroed) = ([UInt32](), [UInt32]())
    var pages: [UInt8] = []
    ram.forEachDifference(from: parent?.ram ?? RAMImage()) { number, bytes in
      guard let bytes else {
        zeroed.append(number)
        return
      }
      changed.append(number)
      pages += bytes
    }
    var (state, hostState) = (state, hostState)
    let body = Archive.save(types: [], context: nil) { archive in
      header.archive(archive)
      archive("state", &state)
      archive("hostState", &hostState)
      archive.numbers("zeroed", &zeroed)
      archive.numbers("changed", &changed)
      archive("pages", &pages)
    }
    let bytes = Self.start + body.bytes
    let sum = StateHash(bytes)
    return bytes + Self.bytes(sum.high) + Self.bytes(sum.low)
  }

  private static var start: [UInt8] { bytes(magic) + bytes(version) }

  private static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  /// The snapshot of bytes that ``encoded(since:)`` made.
  ///
  /// - Parameters:
  ///   - bytes: all of them.
  ///   - parent: the snapshot that was given then, or another of the same contents.
  /// - Throws: what is wrong with them.
  public init(decoding bytes: [UInt8], parent: MachineSnapshot? = nil) throws(SnapshotError) {
    let start = Self.start
    guard bytes.prefix(8).elementsEqual(start.prefix(8)) else {
      throw SnapshotError("not a snapshot of a machine")
    }
    guard bytes.count >= start.count + 16 else { throw SnapshotError("the snapshot is cut off") }
    guard bytes.prefix(start.count).elementsEqual(start) else {
      let version = bytes[8..<12].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      throw SnapshotError("the snapshot has version \(version), known is \(Self.version)")
    }
    let sum = bytes.withUnsafeBytes {
      StateHash(UnsafeRawBufferPointer(rebasing: $0.dropLast(16)))
    }
    guard bytes.suffix(16).elementsEqual(Self.bytes(sum.high) + Self.bytes(sum.low)) else {
      throw SnapshotError("the snapshot is damaged or cut off: its checksum does not fit")
    }
    var header = Header(facts: MachineFacts(), count: 0, probes: [], parent: nil, identity: nil)
    var (state, hostState, pages) = ([UInt8](), [UInt8](), [UInt8]())
    var (changed, zeroed) = ([UInt32](), [UInt32]())
    let problem = Archive.restore(
      Array(bytes[start.count..<(bytes.count - 16)]), types: [], context: nil, externals: []
    ) { archive in
      header.archive(archive)
      archive("state", &state)
      archive("hostState", &hostState)
      archive.numbers("zeroed", &zeroed)
      archive.numbers("changed", &changed)
      archive("pages", &pages)
    }
    if let problem { throw SnapshotError("the snapshot is malformed: \(problem)") }
    guard header.parent == parent?.identity else {
      throw SnapshotError(
        header.parent == nil
          ? "the snapshot has no parent"
          : parent == nil ? "the snapshot needs its parent" : "the snapshot has another parent")
    }
    let limit = header.facts.memory / PhysicalMemory.pageSize
    guard pages.count == changed.count * Int(PhysicalMemory.pageSize),
      (changed + zeroed).allSatisfy({ UInt64($0) < limit })
    else { throw SnapshotError("the snapshot is malformed: pages outside RAM") }
    var ram = parent?.ram ?? RAMImage()
    for page in zeroed { ram.set(page, nil) }
    pages.withUnsafeBytes { all in
      for (index, page) in changed.enumerated() {
        let first = index * Int(PhysicalMemory.pageSize)
        ram.set(
          page,
          UnsafeRawBufferPointer(rebasing: all[first..<(first + Int(PhysicalMemory.pageSize))]))
      }
    }
    count = header.count
    facts = header.facts
    self.ram = ram
    self.state = state
    self.hostState = hostState
    probes = header.probes
    externals = []
    isProven = false
    guard identity == header.identity else {
      throw SnapshotError("the snapshot is damaged: its contents are not what was saved")
    }
  }

  private struct Header {
    var facts: MachineFacts
    var count: UInt64
    var probes: [String]
    var parent: StateHash?
    var identity: StateHash?

    mutating func archive(_ archive: Archive) {
      archive("facts", &facts)
      archive("count", &count)
      archive("probes", &probes)
      archive("parent", &parent)
      archive("identity", &identity)
    }
  }
}

/// What a machine must have in common with the one that a snapshot was taken on.
struct MachineFacts: Equatable, Archived {
  /// `program` or `board`.
  var kind = ""
  /// Name of the instruction set.
  var isa = ""
  /// Bytes of RAM.
  var memory: UInt64 = 0
  /// How many harts.
  var harts = 0
  /// The cache model's name.
  var caches = ""
  /// Everything else: what it is, and its value.
  var details: [String: String] = [:]

  static func placeholder(_ archive: Archive) -> MachineFacts { MachineFacts() }

  mutating func archive(_ archive: Archive) {
    archive("kind", &kind)
    archive("isa", &isa)
    archive("memory", &memory)
    archive("harts", &harts)
    archive("caches", &caches)
    archive("details", &details)
  }

  private var table: [(String, String)] {
    [
      ("kind of machine", kind), ("instruction set", isa), ("bytes of RAM", String(memory)),
      ("harts", String(harts)), ("caches", caches),
    ] + details.sorted { $0.key < $1.key }
  }

  /// Why a snapshot of a machine with `other` facts does not fit one with these.
  func difference(from other: MachineFacts) -> String? {
    if self == other { return nil }
    let (own, its) = (table, Dictionary(other.table) { $1 })
    for (name, value) in own where its[name] != value {
      return "\(name): \(its[name] ?? "nothing") in the snapshot, \(value) here"
    }
    return "the snapshot says more of its machine than is known here"
  }
}

extension StateHash: Archived {
  package static func placeholder(_ archive: Archive) -> StateHash { StateHash() }
  package mutating func archive(_ archive: Archive) {
    archive("high", &high)
    archive("low", &low)
  }
}
