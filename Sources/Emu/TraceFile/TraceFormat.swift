/// The version that this code writes; it reads all up to it.
public enum TraceFormatVersion {
  /// Readers refuse a greater one.
  public static let major: UInt16 = 1
  /// A greater one adds chunks or fields that readers may pass over.
  public static let minor: UInt16 = 2
}

/// What a chunk holds: four ASCII letters.
///
/// Readers pass over kinds that they don't know.
public struct ChunkKind: Sendable, Hashable, CustomStringConvertible {
  /// The letters, the first in the lowest byte.
  public let code: UInt32

  /// A kind by its code.
  public init(code: UInt32) { self.code = code }

  private init(_ letters: StaticString) {
    var code: UInt32 = 0
    for index in 0..<4 { code |= UInt32(letters.utf8Start[index]) << UInt32(8 * index) }
    self.code = code
  }

  /// The configuration of the machine, and the names and hashes of its files.
  public static let configuration = ChunkKind("CONF")
  /// The bytes of a file.
  public static let blob = ChunkKind("BLOB")
  /// Answers of the world.
  public static let choices = ChunkKind("CHOI")
  /// The state of the machine.
  public static let snapshot = ChunkKind("SNAP")
  /// Which instructions were executed.
  public static let insns = ChunkKind("INSN")
  /// Registers and memory of a program on the host's own processor.
  public static let native = ChunkKind("NATV")
  /// How the run ended.
  public static let end = ChunkKind("DONE")
  /// Where the chunks are.
  public static let index = ChunkKind("INDX")

  /// The letters; `?` for what is none.
  public var description: String {
    String(
      decoding: (0..<4).map { index -> UInt8 in
        let letter = UInt8(truncatingIfNeeded: code >> UInt32(8 * index))
        return (0x20...0x7e).contains(letter) ? letter : 0x3f
      }, as: UTF8.self)
  }
}

/// Sizes that no reader goes beyond.
public enum TraceLimits {
  /// Bytes of a chunk, packed or not.
  public static let chunk = 64 << 20
  /// Bytes of one chunk that a writer makes of a longer record.
  public static let piece = 4 << 20
  /// Bytes of a record: all of its chunks.
  public static let record = 1 << 33
  /// Chunks in a file.
  public static let chunks = 1 << 24
}

/// The first bytes of a file.
struct FileHeader {
  static let size = 32
  static let magic: [UInt8] = [0x89, 0x45, 0x4d, 0x55, 0x54, 0x0d, 0x0a, 0x1a]
  var major = TraceFormatVersion.major
  var minor = TraceFormatVersion.minor

  var encoded: [UInt8] {
    var bytes = ByteWriter()
    bytes.bytes(Self.magic)
    bytes.fixed(major)
    bytes.fixed(minor)
    bytes.fixed(UInt32(Self.size))
    bytes.fixed(UInt64(0))
    bytes.fixed(XXH64.hash(bytes.data))
    return bytes.data
  }

  init() {}

  init(_ bytes: [UInt8], path: String) throws(TraceFileError) {
    guard !bytes.isEmpty else { throw .empty(path) }
    guard bytes.prefix(8).elementsEqual(Self.magic.prefix(bytes.count)) else {
      throw .notATrace(path)
    }
    guard bytes.count >= Self.size else { throw .damagedHeader(path) }
    var reader = ByteReader(bytes)
    _ = try reader.bytes(8)
    major = try reader.fixed()
    minor = try reader.fixed()
    let sum = XXH64.hash(Array(bytes[0..<24]))
    _ = try reader.bytes(12)
    let stored: UInt64 = try reader.fixed()
    guard sum == stored else { throw .damagedHeader(path) }
    guard major >= 1, major <= TraceFormatVersion.major else {
      throw .foreignVersion(path, major: major, minor: minor)
    }
  }
}

/// What stands before a chunk's bytes.
public struct ChunkHeader: Sendable, Equatable {
  static let size = 64
  static let magic: [UInt8] = [0x45, 0x4d, 0x55, 0x43]
  /// Flags of a chunk.
  struct Flags {
    /// The bytes are a zstd frame.
    static let packed: UInt32 = 1
    /// The record goes on in the next chunk.
    static let continues: UInt32 = 2
  }

  /// What it holds.
  public var kind: ChunkKind
  /// Its place among the file's chunks, from 0.
  public var number: UInt64
  /// Bytes in the file behind the header.
  public var storedLength: UInt64
  /// Bytes after unpacking.
  public var length: UInt64
  var flags: UInt32
  /// The instruction count that its contents begin at; what it means is the kind's.
  public var first: UInt64
  var digest: UInt64

  /// Whether the record goes on in the next chunk.
  public var continues: Bool { flags & Flags.continues != 0 }

  var encoded: [UInt8] {
    var bytes = ByteWriter()
    bytes.bytes(Self.magic)
    bytes.fixed(kind.code)
    bytes.fixed(number)
    bytes.fixed(storedLength)
    bytes.fixed(length)
    bytes.fixed(flags)
    bytes.fixed(UInt32(0))
    bytes.fixed(first)
    bytes.fixed(digest)
    bytes.fixed(XXH64.hash(bytes.data))
    return bytes.data
  }

  init(
    kind: ChunkKind, number: UInt64, storedLength: UInt64, length: UInt64, flags: UInt32,
    first: UInt64, digest: UInt64
  ) {
    self.kind = kind
    self.number = number
    self.storedLength = storedLength
    self.length = length
    self.flags = flags
    self.first = first
    self.digest = digest
  }

  /// Reads a header; `nil` where the bytes are none, or not as written.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.size, bytes.prefix(4).elementsEqual(Self.magic) else { return nil }
    var reader = ByteReader(bytes)
    do throws(TraceFileError) {
      _ = try reader.bytes(4)
      kind = ChunkKind(code: try reader.fixed())
      number = try reader.fixed()
      storedLength = try reader.fixed()
      length = try reader.fixed()
      flags = try reader.fixed()
      let _: UInt32 = try reader.fixed()
      first = try reader.fixed()
      digest = try reader.fixed()
      let sum: UInt64 = try reader.fixed()
      guard sum == XXH64.hash(Array(bytes[0..<56])) else { return nil }
    } catch {
      return nil
    }
  }
}

/// The last bytes of a file that was finished: where its index is.
struct Trailer {
  static let size = 24
  static let magic: [UInt8] = [0x45, 0x4d, 0x55, 0x54, 0x45, 0x4e, 0x44, 0x0a]
  var index: UInt64

  var encoded: [UInt8] {
    var bytes = ByteWriter()
    bytes.fixed(index)
    bytes.bytes(Self.magic)
    bytes.fixed(XXH64.hash(bytes.data))
    return bytes.data
  }

  init(index: UInt64) { self.index = index }

  init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.size, bytes[8..<16].elementsEqual(Self.magic) else { return nil }
    var reader = ByteReader(bytes)
    do throws(TraceFileError) {
      index = try reader.fixed()
      _ = try reader.bytes(8)
      let sum: UInt64 = try reader.fixed()
      guard sum == XXH64.hash(Array(bytes[0..<16])) else { return nil }
    } catch {
      return nil
    }
  }
}
