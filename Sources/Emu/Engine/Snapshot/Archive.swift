/// An object of a machine's state that is archived: saved, restored and hashed.
///
/// One function, ``archive(_:)``, names every stored property once, for all three. What it names is
/// checked against the class by a test (``ArchiveAudit``), so that none is forgotten.
///
/// Objects may refer to each other in circles: those of a restored state are all made first, as
/// placeholders, and get their contents afterwards.
package protocol Archivable: AnyObject {
  /// An object that does nothing, not even when it is released, until ``archive(_:)`` fills it in.
  init(placeholderFor archive: Archive)
  /// Goes through all stored properties in a fixed order.
  func archive(_ archive: Archive)
}

/// A value that is archived as a part of an object.
package protocol Archived {
  /// A value to be filled in by ``archive(_:)``.
  static func placeholder(_ archive: Archive) -> Self
  /// Goes through all stored properties in a fixed order.
  mutating func archive(_ archive: Archive)
}

/// Saves a graph of objects as bytes, or makes one of them: which of the two is decided once, by how
/// it was made, so that a class describes itself only once.
///
/// The same state gives the same bytes in every process and with every engine, so a hash of the state
/// is a hash of the bytes. Numbers are little-endian; an object is named by its place in the order
/// in which objects were met.
///
/// Bytes that can't be read never trap: the first problem is kept in ``problem``, and from then on
/// zeros are read.
public final class Archive {
  /// Whether properties are being restored and not saved.
  package let isReading: Bool
  /// What was wrong with the bytes, in one line.
  package private(set) var problem: String?
  /// Whose state it is: what objects need besides their properties.
  package let context: AnyObject?
  /// Objects outside the graph, which it names by their place here: handlers' owners and data.
  ///
  /// While saving, more are appended as they are met.
  package private(set) var externals: [AnyObject]
  /// Sees names instead of having values saved (``ArchiveAudit``).
  package var audit: ArchiveAudit?

  private let types: [any Archivable.Type]
  private var objects: [any Archivable] = []
  private var later: [() -> Void] = []

  // Saving.
  private var tags: [UInt16] = []
  private var tagOf: [ObjectIdentifier: UInt16] = [:]
  private var placeOf: [ObjectIdentifier: UInt32] = [:]
  private var externalPlaceOf: [ObjectIdentifier: UInt32] = [:]
  private var buffer: UnsafeMutableRawPointer
  private var capacity: Int
  private var count = 0

  // Reading.
  private var source = UnsafeRawBufferPointer(start: nil, count: 0)
  private var at = 0
  private var placeholders: [ObjectIdentifier: any Archivable] = [:]

  private init(
    reading: Bool, types: [any Archivable.Type], context: AnyObject?, externals: [AnyObject]
  ) {
    isReading = reading
    self.types = types
    self.context = context
    self.externals = externals
    capacity = reading ? 8 : 1 << 16
    buffer = .allocate(byteCount: capacity, alignment: 8)
    for (place, object) in externals.enumerated() {
      externalPlaceOf[ObjectIdentifier(object)] = UInt32(truncatingIfNeeded: place)
    }
    guard !reading else { return }
    for (tag, type) in types.enumerated() {
      tagOf[ObjectIdentifier(type)] = UInt16(truncatingIfNeeded: tag)
    }
  }

  deinit { buffer.deallocate() }

  // MARK: The whole

  /// A saved graph.
  package struct Saved {
    /// Its bytes.
    package var bytes: [UInt8]
    /// The objects outside that it names: those given, then those met.
    package var externals: [AnyObject]
    /// How many objects it has.
    package var objectCount: Int
    /// What could not be saved, in one line.
    package var problem: String?
  }

  /// Saves what `root` and everything that it refers to consist of.
  ///
  /// - Parameters:
  ///   - types: the classes of the objects; the order is part of the format.
  ///   - context: what objects find as ``context``.
  ///   - externals: objects outside that the graph may name.
  ///   - audit: sees the names; the bytes are of no use then.
  ///   - root: goes through the state that is no object of the graph.
  /// - Returns: the bytes, and what they name.
  package static func save(
    types: [any Archivable.Type], context: AnyObject?, externals: [AnyObject] = [],
    audit: ArchiveAudit? = nil, _ root: (Archive) -> Void
  ) -> Saved {
    let archive = Archive(reading: false, types: types, context: context, externals: externals)
    archive.audit = audit
    root(archive)
    var next = 0
    while next < archive.objects.count {
      let object = archive.objects[next]
      if let audit { audit.visit(object, archive) } else { object.archive(archive) }
      next += 1
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 + 2 * archive.tags.count + archive.count)
    withUnsafeBytes(of: UInt32(archive.tags.count).littleEndian) { bytes += $0 }
    for tag in archive.tags { withUnsafeBytes(of: tag.littleEndian) { bytes += $0 } }
    bytes += UnsafeRawBufferPointer(start: archive.buffer, count: archive.count)
    return Saved(
      bytes: bytes, externals: archive.externals, objectCount: archive.tags.count,
      problem: archive.problem)
  }

  /// Makes a graph of its bytes.
  ///
  /// - Parameters:
  ///   - bytes: what ``save(types:context:externals:audit:_:)`` made.
  ///   - types: as they were then.
  ///   - context: what objects find as ``context``.
  ///   - externals: what stands for the objects outside.
  ///   - discard: is given all objects of a graph that could not be made.
  ///   - root: what saved the state that is no object.
  /// - Returns: what is wrong with the bytes; `nil`: nothing.
  package static func restore(
    _ bytes: [UInt8], types: [any Archivable.Type], context: AnyObject?, externals: [AnyObject],
    discard: ([any Archivable]) -> Void = { _ in }, _ root: (Archive) -> Void
  ) -> String? {
    bytes.withUnsafeBytes { source in
      let archive = Archive(reading: true, types: types, context: context, externals: externals)
      archive.source = source
      archive.makeObjects()
      root(archive)
      for object in archive.objects {
        guard archive.problem == nil else { break }
        object.archive(archive)
      }
      if archive.problem == nil, archive.at != source.count {
        archive.fail("\(source.count - archive.at) bytes behind the end")
      }
      for work in archive.later where archive.problem == nil { work() }
      if archive.problem != nil { discard(archive.objects) }
      // What was left for later holds the archive: nothing of the graph may live on by that.
      archive.later = []
      archive.objects = []
      archive.placeholders = [:]
      return archive.problem
    }
  }

  private func makeObjects() {
    var number: UInt32 = 0
    raw(&number)
    guard Int(number) <= (source.count - at) / 2 else {
      fail("\(number) objects do not fit into \(source.count) bytes")
      return
    }
    objects.reserveCapacity(Int(number))
    for _ in 0..<number {
      var tag: UInt16 = 0
      raw(&tag)
      guard Int(tag) < types.count else {
        fail("no class has number \(tag)")
        return
      }
      objects.append(types[Int(tag)].init(placeholderFor: self))
    }
  }

  /// Says what is wrong with the bytes, or with the state that is to be saved.
  package func fail(_ what: @autoclosure () -> String) {
    if problem == nil { problem = what() }
  }

  /// Has work done once the whole graph has been restored.
  package func afterwards(_ work: @escaping () -> Void) {
    if isReading { later.append(work) }
  }

  /// The object that stands for one of a class until ``Archivable/archive(_:)`` sets the property.
  package func placeholder<T: Archivable>(_ type: T.Type) -> T {
    if let known = placeholders[ObjectIdentifier(type)] as? T { return known }
    let made = T(placeholderFor: self)
    placeholders[ObjectIdentifier(type)] = made
    return made
  }

  // MARK: Values

  /// A property.
  package func callAsFunction<T: Archived>(_ name: StaticString, _ value: inout T) {
    if let audit {
      audit.value(name, &value, self)
    } else {
      value.archive(self)
    }
  }

  /// Properties that are not archived: caches that are made anew, and what the machine around sets.
  package func transient(_ names: @autoclosure () -> [String]) {
    audit?.note(names())
  }

  /// The bytes of a number.
  package func raw<T: FixedWidthInteger & BitwiseCopyable>(_ value: inout T) {
    let size = MemoryLayout<T>.size
    if isReading {
      guard problem == nil, size <= source.count - at else {
        fail("cut off")
        value = 0
        return
      }
      value = T(littleEndian: source.loadUnaligned(fromByteOffset: at, as: T.self))
      at += size
    } else {
      reserve(size)
      (buffer + count).storeBytes(of: value.littleEndian, as: T.self)
      count += size
    }
  }

  /// As many bytes as there are.
  package func raw(_ value: inout [UInt8]) {
    var length = value.count
    number(&length)
    if isReading {
      value = Array(source[at..<(at + length)])
      at += length
    } else {
      append(value.withUnsafeBytes { $0 })
    }
  }

  /// Numbers one behind the other, as they lie in memory.
  package func raw<T: FixedWidthInteger & BitwiseCopyable>(numbers value: inout [T]) {
    var length = value.count
    number(&length, each: MemoryLayout<T>.stride)
    guard isReading else {
      value.withUnsafeBytes(append)
      return
    }
    value = Array(repeating: 0, count: length)
    value.withUnsafeMutableBytes {
      $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[at..<(at + $0.count)]))
      at += $0.count
    }
  }

  /// The number of elements that follow, which must have room with `each` bytes for one.
  package func number(_ count: inout Int, each size: Int = 1) {
    var value = UInt64(count)
    raw(&value)
    guard isReading else { return }
    guard value <= UInt64(source.count - at) / UInt64(size) else {
      fail("\(value) elements do not fit into \(source.count - at) bytes")
      count = 0
      return
    }
    count = Int(value)
  }

  private func append(_ bytes: UnsafeRawBufferPointer) {
    reserve(bytes.count)
    if let from = bytes.baseAddress {
      (buffer + count).copyMemory(from: from, byteCount: bytes.count)
    }
    count += bytes.count
  }

  private func reserve(_ more: Int) {
    guard capacity - count < more else { return }
    capacity = max(2 * capacity, count + more)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
    larger.copyMemory(from: buffer, byteCount: count)
    buffer.deallocate()
    buffer = larger
  }

  // MARK: References

  private static let nobody = UInt32.max

  private func place(of object: any Archivable) -> UInt32 {
    let id = ObjectIdentifier(object)
    if let known = placeOf[id] { return known }
    let place = UInt32(truncatingIfNeeded: objects.count)
    guard let tag = tagOf[ObjectIdentifier(type(of: object))] else {
      fail("\(type(of: object)) is not archived")
      return Self.nobody
    }
    placeOf[id] = place
    objects.append(object)
    tags.append(tag)
    return place
  }

  private func reference<T: AnyObject>(_ value: (any Archivable)?, as type: T.Type) -> T? {
    var place = Self.nobody
    if !isReading, let value { place = self.place(of: value) }
    raw(&place)
    guard isReading, place != Self.nobody, problem == nil else { return nil }
    guard Int(place) < objects.count, let found = objects[Int(place)] as? T else {
      fail("object \(place) is no \(type)")
      return nil
    }
    return found
  }

  /// A reference, strong or weak, or none.
  package func ref<T: Archivable>(_ name: StaticString, _ value: inout T?) {
    audit?.note(name)
    let found = reference(value, as: T.self)
    if isReading { value = found }
  }

  /// A reference.
  package func ref<T: Archivable>(_ name: StaticString, _ value: inout T) {
    audit?.note(name)
    let found = reference(value, as: T.self)
    guard isReading else { return }
    guard let found else {
      fail("\(name) refers to nothing")
      return
    }
    value = found
  }

  /// References.
  package func refs<T: Archivable>(_ name: StaticString, _ value: inout [T]) {
    audit?.note(name)
    var length = value.count
    number(&length, each: 4)
    guard isReading else {
      for object in value { _ = reference(object, as: T.self) }
      return
    }
    value = []
    value.reserveCapacity(length)
    for _ in 0..<length {
      guard let found = reference(nil, as: T.self) else {
        fail("one of \(name) refers to nothing")
        return
      }
      value.append(found)
    }
  }

  /// References by key, in the order of keys.
  package func refs<Key: Archived & Hashable & Comparable, T: Archivable>(
    _ name: StaticString, _ value: inout [Key: T]
  ) {
    var keys = isReading ? [] : value.keys.sorted()
    var values = isReading ? [] : keys.compactMap { value[$0] }
    audit?.note(name)
    keys.archive(self)
    refs(name, &values)
    guard isReading else { return }
    guard keys.count == values.count else {
      fail("\(name) has \(keys.count) keys and \(values.count) values")
      return
    }
    value = Dictionary(zip(keys, values)) { $1 }
  }

  /// A reference to an object of whatever class.
  ///
  /// One that is not archived is saved as one of ``externals``: known in this process only.
  package func any(_ name: StaticString, _ value: inout AnyObject?) {
    audit?.note(name)
    var isExternal = value != nil && !(value is any Archivable)
    isExternal.archive(self)
    if isExternal {
      external(name, &value)
    } else {
      let found = reference(value as? any Archivable, as: AnyObject.self)
      if isReading { value = found }
    }
  }

  /// A reference to an object that is outside the graph.
  package func external(_ name: StaticString, _ value: inout AnyObject?) {
    audit?.note(name)
    var place = Self.nobody
    if !isReading, let value {
      if let known = externalPlaceOf[ObjectIdentifier(value)] {
        place = known
      } else {
        place = UInt32(truncatingIfNeeded: externals.count)
        externalPlaceOf[ObjectIdentifier(value)] = place
        externals.append(value)
      }
    }
    raw(&place)
    guard isReading else { return }
    value = nil
    guard place != Self.nobody, problem == nil else { return }
    guard Int(place) < externals.count else {
      fail("\(name) refers to an object of another process")
      return
    }
    value = externals[Int(place)]
  }
}
