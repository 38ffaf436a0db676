/// Puts values together as bytes.
public struct ByteWriter {
  /// What was put together so far.
  public private(set) var data: [UInt8] = []

  /// Nothing yet.
  public init() {}

  /// How many bytes there are.
  public var count: Int { data.count }

  /// Forgets all bytes and keeps the room.
  public mutating func removeAll() { data.removeAll(keepingCapacity: true) }

  /// Bytes as they are.
  public mutating func bytes(_ bytes: some Sequence<UInt8>) { data.append(contentsOf: bytes) }

  /// A number of its own width, little-endian.
  public mutating func fixed(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) }
  }

  /// A number in groups of seven bits, the lowest first; the top bit of a byte says that more follow.
  ///
  /// - SeeAlso: DWARF Debugging Information Format, 'Variable Length Data' (unsigned LEB128).
  @inline(__always)
  public mutating func number(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      data.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    data.append(UInt8(truncatingIfNeeded: rest))
  }

  /// A number of bytes, then the bytes.
  public mutating func counted(_ bytes: [UInt8]) {
    number(UInt64(bytes.count))
    data.append(contentsOf: bytes)
  }

  /// A text as counted UTF-8.
  public mutating func text(_ text: String) { counted(Array(text.utf8)) }
}

/// Takes values from bytes that nobody vouches for.
public struct ByteReader {
  private let data: [UInt8]
  private var at: Int
  private let end: Int

  /// Reads `data`.
  public init(_ data: [UInt8]) {
    self.data = data
    at = 0
    end = data.count
  }

  /// How many bytes are left.
  public var left: Int { end - at }
  /// Whether nothing is left.
  public var isAtEnd: Bool { at >= end }

  private func tooShort() -> TraceFileError { .malformed("it ends in the middle of a value") }

  /// Bytes as they are.
  public mutating func bytes(_ count: Int) throws(TraceFileError) -> [UInt8] {
    guard count >= 0, count <= left else { throw tooShort() }
    defer { at += count }
    return Array(data[at..<at + count])
  }

  /// A number of its own width, little-endian.
  public mutating func fixed<T: FixedWidthInteger & BitwiseCopyable>() throws(TraceFileError) -> T {
    let count = MemoryLayout<T>.size
    guard count <= left else { throw tooShort() }
    defer { at += count }
    return T(
      littleEndian: data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: T.self) })
  }

  /// A number as ``ByteWriter/number(_:)`` writes it.
  @inline(__always)
  public mutating func number() throws(TraceFileError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while at < end {
      let byte = data[at]
      at += 1
      if shift == 63, byte > 1 { throw .malformed("a number of more than 64 bits") }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
      if shift > 63 { throw .malformed("a number of more than 64 bits") }
    }
    throw tooShort()
  }

  /// A number that is at most `limit`.
  public mutating func number(upTo limit: Int) throws(TraceFileError) -> Int {
    let value = try number()
    guard value <= UInt64(max(limit, 0)) else {
      throw .malformed("\(value) where at most \(limit) makes sense")
    }
    return Int(value)
  }

  /// Counted bytes.
  public mutating func counted() throws(TraceFileError) -> [UInt8] {
    try bytes(try number(upTo: left))
  }

  /// All that is left.
  public mutating func rest() -> [UInt8] {
    defer { at = end }
    return Array(data[at..<end])
  }

  /// A text.
  public mutating func text() throws(TraceFileError) -> String {
    String(decoding: try counted(), as: UTF8.self)
  }
}
