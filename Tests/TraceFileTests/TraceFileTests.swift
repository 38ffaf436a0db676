import Foundation
import Glibc
import Testing

@testable import TraceFile

/// Files that are written, cut off, damaged and read again.
struct TraceFileTests {
  /// A directory for one test.
  final class Scratch {
    let path = FileManager.default.temporaryDirectory.path + "/emu-trace-\(UUID().uuidString)"
    init() throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    var file: String { path + "/t.emutrace" }
    func bytes() throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(fileURLWithPath: file))) }
    func write(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(fileURLWithPath: file)) }
  }

  static let text = Array("all work and no play makes a dull trace. ".utf8)
  /// Five records: text, nothing, noise, a long one in three chunks, text.
  static let records: [(ChunkKind, UInt64, [UInt8])] = {
    var noise: [UInt8] = []
    var state: UInt64 = 88_172_645_463_325_252
    for _ in 0..<5000 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      noise.append(UInt8(truncatingIfNeeded: state))
    }
    let long = [UInt8](repeating: 7, count: 2 * TraceLimits.piece + 100)
    return [
      (.configuration, 0, Array(repeatElement(text, count: 20).joined())), (.choices, 10, []),
      (.blob, 20, noise), (.snapshot, 30, long), (.end, 40, text),
    ]
  }()

  static func sample(_ scratch: Scratch, finished: Bool = true) throws {
    let writer = try TraceWriter(scratch.file)
    for (kind, first, bytes) in records { writer.write(kind, first: first, bytes) }
    writer.drain()
    if finished { #expect(writer.finish() == nil) }
  }

  static func expectRecords(_ reader: TraceReader, count: Int = records.count) throws {
    var index = 0
    for (kind, first, bytes) in records.prefix(count) {
      #expect(reader.chunks[index].header.kind == kind)
      #expect(reader.chunks[index].header.first == first)
      let record = try reader.record(index)
      #expect(record.bytes == bytes)
      index = record.next
    }
    #expect(index == reader.chunks.count)
  }

  @Test(arguments: [false, true]) func whatIsWrittenIsRead(_ ignoringIndex: Bool) throws {
    let scratch = try Scratch()
    try Self.sample(scratch)
    let reader = try TraceReader(scratch.file, ignoringIndex: ignoringIndex)
    #expect(reader.isFinished)
    #expect(reader.chunks.count == 7)
    #expect(reader.damages.isEmpty)
    #expect(reader.verify().isEmpty)
    try Self.expectRecords(reader)
  }

  @Test func anUnfinishedFileIsReadWithoutItsIndex() throws {
    let scratch = try Scratch()
    try Self.sample(scratch, finished: false)
    let reader = try TraceReader(scratch.file)
    #expect(!reader.isFinished)
    try Self.expectRecords(reader)
  }

  @Test func aCutOffFileIsReadUpToItsLastWholeChunk() throws {
    let scratch = try Scratch()
    try Self.sample(scratch)
    let whole = try scratch.bytes()
    let chunks = try TraceReader(scratch.file).chunks
    for cut in stride(from: 32, through: whole.count, by: 41) {
      try scratch.write(Array(whole[..<cut]))
      let reader = try TraceReader(scratch.file)
      let expected = chunks.filter {
        $0.offset + UInt64(ChunkHeader.size) + $0.header.storedLength <= UInt64(cut)
      }
      #expect(reader.chunks.map(\.offset) == expected.map(\.offset))
      #expect(reader.damages.isEmpty)
      for chunk in reader.chunks { _ = try reader.contents(chunk) }
    }
  }

  @Test func aWriterGoesOnBehindTheLastWholeChunk() throws {
    let scratch = try Scratch()
    try Self.sample(scratch)
    let whole = try scratch.bytes()
    let first = try TraceReader(scratch.file).chunks[1]
    try scratch.write(Array(whole[..<Int(first.offset + 40)]))
    let writer = try TraceWriter(continuing: TraceReader(scratch.file))
    for (kind, count, bytes) in Self.records.dropFirst(2) {
      writer.write(kind, first: count, bytes)
    }
    #expect(writer.finish() == nil)
    let reader = try TraceReader(scratch.file)
    #expect(reader.isFinished)
    #expect(reader.verify().isEmpty)
    #expect(reader.chunks.map(\.header.number) == Array(0..<6))
  }

  @Test func everyFlippedBitIsNoticed() throws {
    let scratch = try Scratch()
    let writer = try TraceWriter(scratch.file)
    writer.write(.configuration, Self.text)
    writer.write(.choices, first: 5, Array(repeatElement(Self.text, count: 9).joined()))
    #expect(writer.finish() == nil)
    let whole = try scratch.bytes()
    let chunks = try TraceReader(scratch.file).chunks
    let end = try TraceReader(scratch.file).contentEnd
    for at in 32..<Int(end) {
      var damaged = whole
      damaged[at] ^= 1 << UInt8(at % 8)
      try scratch.write(damaged)
      // The index has copies of headers; without it what is flipped must show too.
      let reader = try TraceReader(scratch.file, ignoringIndex: true)
      let problems = reader.verify()
      #expect(problems.count == 1, "byte \(at)")
      let number = chunks.lastIndex { $0.offset <= UInt64(at) } ?? 0
      #expect(problems.first?.contains("chunk \(number) (") == true, "byte \(at)")
      #expect(problems.first?.contains("offset \(chunks[number].offset)") == true)
    }
  }

  @Test func aDamagedChunkDoesNotHideTheOthers() throws {
    let scratch = try Scratch()
    try Self.sample(scratch)
    var bytes = try scratch.bytes()
    let chunks = try TraceReader(scratch.file).chunks
    bytes[Int(chunks[2].offset) + 3] ^= 0xff
    try scratch.write(bytes)
    let reader = try TraceReader(scratch.file, ignoringIndex: true)
    #expect(reader.damages.count == 1)
    #expect(reader.damages.first?.offset == chunks[2].offset)
    #expect(reader.damages.first?.end == chunks[3].offset)
    #expect(reader.chunks.count == chunks.count - 1)
    #expect(try reader.record(2).bytes == Self.records[3].2)
  }

  @Test func aRecordWithoutItsRestIsDamaged() throws {
    let scratch = try Scratch()
    try Self.sample(scratch)
    let whole = try scratch.bytes()
    let chunks = try TraceReader(scratch.file).chunks
    try scratch.write(Array(whole[..<Int(chunks[4].offset)]))
    let reader = try TraceReader(scratch.file)
    #expect(throws: TraceFileError.self) { try reader.record(3) }
  }

  // MARK: Bad files

  @Test func filesThatAreNoTraces() throws {
    let scratch = try Scratch()
    let path = scratch.file
    func error() -> String {
      do throws(TraceFileError) {
        _ = try TraceReader(path)
        return "none"
      } catch {
        return error.description
      }
    }
    #expect(error() == "\(path): No such file or directory")
    try scratch.write([])
    #expect(error() == "\(path): the file is empty")
    try scratch.write(Array("#!/bin/sh\n".utf8))
    #expect(error() == "\(path): not a trace file")
    try scratch.write(Array(FileHeader().encoded.prefix(20)))
    #expect(error() == "\(path): the file header is damaged")
    var foreign = FileHeader()
    foreign.major = 9
    try scratch.write(foreign.encoded)
    #expect(error() == "\(path): trace format 9.2 is newer than this emu, which reads up to 1.x")
    var damaged = FileHeader().encoded
    damaged[10] ^= 1
    try scratch.write(damaged)
    #expect(error() == "\(path): the file header is damaged")
    #expect(throws: TraceFileError.host("/: not a regular file")) { try TraceReader("/") }
  }

  @Test func filesThatCanNotBeWritten() throws {
    #expect(throws: TraceFileError.self) { try TraceWriter("/no/such/directory/t") }
    let writer = try TraceWriter("/dev/full")
    writer.write(.choices, Self.text)
    writer.drain()
    #expect(writer.problem == "/dev/full: No space left on device")
    writer.write(.choices, Self.text)
    #expect(writer.finish() == "/dev/full: No space left on device")
  }

  // MARK: Digests and numbers

  @Test func xxh64() {
    // The vectors of xxHash's own sanity check with seed 0.
    #expect(XXH64.hash([]) == 0xef46_db37_51d8_e999)
    #expect(XXH64.hash(Array("a".utf8)) == 0xd24e_c4f1_a98c_6e5b)
    #expect(XXH64.hash(Array("abc".utf8)) == 0x44bc_2cf5_ad77_0999)
    #expect(
      XXH64.hash(Array("The quick brown fox jumps over the lazy dog".utf8))
        == 0x0b24_2d36_1fda_71bc)
  }

  @Test func sha256() {
    #expect(
      SHA256.text(SHA256.hash([]))
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      SHA256.text(SHA256.hash(Array("abc".utf8)))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      SHA256.text(
        SHA256.hash(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)))
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    #expect(
      SHA256.text(SHA256.hash([UInt8](repeating: 0x61, count: 1_000_000)))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func numbers() throws {
    let values: [UInt64] = [0, 1, 127, 128, 300, 1 << 32, 1 << 63, .max]
    var writer = ByteWriter()
    for value in values { writer.number(value) }
    var reader = ByteReader(writer.data)
    for value in values { #expect(try reader.number() == value) }
    #expect(reader.isAtEnd)
    for bytes: [UInt8] in [
      [], [0x80], [UInt8](repeating: 0xff, count: 9) + [2],
      [UInt8](repeating: 0x80, count: 10) + [1],
    ] {
      var reader = ByteReader(bytes)
      #expect(throws: TraceFileError.self) { try reader.number() }
    }
    var counted = ByteReader([5, 1, 2])
    #expect(throws: TraceFileError.self) { try counted.counted() }
  }

  /// `Docs/trace-format.md` gives offsets; this reads a file by them and by nothing else.
  @Test func theDocumentDescribesTheFile() throws {
    let scratch = try Scratch()
    let writer = try TraceWriter(scratch.file)
    writer.write(.configuration, first: 77, Self.text)
    #expect(writer.finish() == nil)
    let file = try scratch.bytes()
    func word<T: FixedWidthInteger & BitwiseCopyable>(_ at: Int, _: T.Type) -> T {
      file.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
    }
    // File header.
    #expect(Array(file[0..<8]) == [0x89, 0x45, 0x4d, 0x55, 0x54, 0x0d, 0x0a, 0x1a])
    #expect(word(8, UInt16.self) == 1)
    #expect(word(10, UInt16.self) == 2)
    #expect(word(12, UInt32.self) == 32)
    #expect(word(16, UInt64.self) == 0)
    #expect(word(24, UInt64.self) == XXH64.hash(Array(file[0..<24])))
    // First chunk.
    let chunk = 32
    #expect(String(decoding: file[chunk..<chunk + 4], as: UTF8.self) == "EMUC")
    #expect(String(decoding: file[chunk + 4..<chunk + 8], as: UTF8.self) == "CONF")
    #expect(word(chunk + 8, UInt64.self) == 0)
    #expect(word(chunk + 16, UInt64.self) == UInt64(Self.text.count))
    #expect(word(chunk + 24, UInt64.self) == UInt64(Self.text.count))
    #expect(word(chunk + 32, UInt32.self) == 0)
    #expect(word(chunk + 36, UInt32.self) == 0)
    #expect(word(chunk + 40, UInt64.self) == 77)
    #expect(word(chunk + 48, UInt64.self) == XXH64.hash(Self.text))
    #expect(word(chunk + 56, UInt64.self) == XXH64.hash(Array(file[chunk..<chunk + 56])))
    #expect(Array(file[chunk + 64..<chunk + 64 + Self.text.count]) == Self.text)
    // Index.
    let index = chunk + 64 + Self.text.count
    #expect(String(decoding: file[index + 4..<index + 8], as: UTF8.self) == "INDX")
    // Trailer.
    let trailer = file.count - 24
    #expect(word(trailer, UInt64.self) == UInt64(index))
    #expect(String(decoding: file[trailer + 8..<trailer + 16], as: UTF8.self) == "EMUTEND\n")
    #expect(word(trailer + 16, UInt64.self) == XXH64.hash(Array(file[trailer..<trailer + 16])))
  }
}
