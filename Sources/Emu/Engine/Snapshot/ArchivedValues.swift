// Values that every part of the state is made of.

extension Archived where Self: FixedWidthInteger & BitwiseCopyable {
  /// Zero.
  package static func placeholder(_ archive: Archive) -> Self { 0 }
  /// Its bytes.
  package mutating func archive(_ archive: Archive) { archive.raw(&self) }
}

extension UInt8: Archived {}
extension UInt16: Archived {}
extension UInt32: Archived {}
extension UInt64: Archived {}
extension Int16: Archived {}
extension Int32: Archived {}
extension Int64: Archived {}
extension Int: Archived {}

extension Bool: Archived {
  /// No.
  package static func placeholder(_ archive: Archive) -> Bool { false }
  /// One byte, 0 or 1.
  package mutating func archive(_ archive: Archive) {
    var byte: UInt8 = self ? 1 : 0
    archive.raw(&byte)
    if byte > 1 { archive.fail("\(byte) is neither yes nor no") }
    self = byte == 1
  }
}

extension String: Archived {
  /// Nothing.
  package static func placeholder(_ archive: Archive) -> String { "" }
  /// Its UTF-8.
  package mutating func archive(_ archive: Archive) {
    var bytes = Array(utf8)
    archive.raw(&bytes)
    if archive.isReading { self = String(decoding: bytes, as: UTF8.self) }
  }
}

extension Array: Archived where Element: Archived {
  /// None.
  package static func placeholder(_ archive: Archive) -> [Element] { [] }
  /// Number, then elements.
  package mutating func archive(_ archive: Archive) {
    if Element.self == UInt8.self {
      // It is that type; `as?` would look at each byte.
      withUnsafeMutablePointer(to: &self) {
        $0.withMemoryRebound(to: [UInt8].self, capacity: 1) { archive.raw(&$0.pointee) }
      }
      return
    }
    var length = count
    archive.number(&length)
    guard archive.isReading else {
      for var element in self { archive("", &element) }
      return
    }
    self = []
    reserveCapacity(Swift.min(length, 1 << 16))
    for _ in 0..<length where archive.problem == nil {
      var element = Element.placeholder(archive)
      element.archive(archive)
      append(element)
    }
  }
}

extension Optional: Archived where Wrapped: Archived {
  /// None.
  package static func placeholder(_ archive: Archive) -> Wrapped? { nil }
  /// Whether there is one, then it.
  package mutating func archive(_ archive: Archive) {
    var isThere = self != nil
    isThere.archive(archive)
    guard isThere else {
      self = nil
      return
    }
    var value = archive.isReading ? Wrapped.placeholder(archive) : self ?? .placeholder(archive)
    archive("", &value)
    if archive.isReading { self = value }
  }
}

extension Dictionary: Archived where Key: Archived & Comparable, Value: Archived {
  /// None.
  package static func placeholder(_ archive: Archive) -> [Key: Value] { [:] }
  /// Number, then keys and values in the order of keys.
  package mutating func archive(_ archive: Archive) {
    var length = count
    archive.number(&length)
    guard archive.isReading else {
      for (var key, var value) in sorted(by: { $0.key < $1.key }) {
        archive("", &key)
        archive("", &value)
      }
      return
    }
    self = [:]
    reserveCapacity(Swift.min(length, 1 << 16))
    for _ in 0..<length where archive.problem == nil {
      var key = Key.placeholder(archive)
      var value = Value.placeholder(archive)
      key.archive(archive)
      value.archive(archive)
      self[key] = value
    }
  }
}

extension Archive {
  /// A set of options.
  package func callAsFunction<T: OptionSet>(_ name: StaticString, _ value: inout T)
  where T.RawValue: Archived {
    audit?.note(name)
    var raw = value.rawValue
    raw.archive(self)
    if isReading { value = T(rawValue: raw) }
  }

  /// A case of an enumeration with raw values.
  package func enumeration<T: RawRepresentable>(_ name: StaticString, _ value: inout T)
  where T.RawValue: Archived {
    audit?.note(name)
    var raw = value.rawValue
    raw.archive(self)
    guard isReading else { return }
    guard let found = T(rawValue: raw) else {
      fail("\(name) can't be \(raw)")
      return
    }
    value = found
  }

  /// Numbers one behind the other.
  package func numbers<T: FixedWidthInteger & BitwiseCopyable>(
    _ name: StaticString, _ value: inout [T]
  ) {
    audit?.note(name)
    raw(numbers: &value)
  }

  /// Which case of an enumeration with associated values: less than `limit`.
  ///
  /// - Returns: the number, zero where the bytes are wrong.
  package func choice(_ number: UInt8, below limit: UInt8) -> UInt8 {
    var number = number
    raw(&number)
    guard number < limit else {
      fail("case \(number) of \(limit)")
      return 0
    }
    return number
  }

  /// A value that is archived part by part: the names of the parts are not the property's.
  package func parts(_ name: StaticString, _ body: () -> Void) {
    guard let audit else {
      body()
      return
    }
    audit.note(name)
    audit.ignoring(body)
  }
}
