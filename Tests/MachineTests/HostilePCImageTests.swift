import Engine
import Machine
import Testing

/// Images for a PC, good and bad: what each of them says in one line, or that it runs.
@Suite struct HostilePCImages {
  /// An ELF32 file with one segment at 1 MiB, and what stands in it.
  private struct File {
    var bytes: [UInt8]
    /// Offsets: of the program header, of the multiboot header.
    static let segment = 52, header = 0x100

    /// - Parameters:
    ///   - flags: of a multiboot header; without, there is none.
    ///   - addresses: what stands behind its sum.
    ///   - isWide: an ELF64 file.
    init(flags: UInt32? = 0, addresses: [UInt32] = [], isWide: Bool = false) {
      bytes = [UInt8](repeating: 0, count: 0x200)
      bytes.replaceSubrange(0..<7, with: [0x7f, 0x45, 0x4c, 0x46, isWide ? 2 : 1, 1, 1])
      put(16, 2, 2)
      put(18, isWide ? 62 : 3, 2)
      put(24, 0x10_0180)
      if isWide {
        for (at, value) in [(32, 64), (54, 56), (56, 1)] as [(Int, UInt32)] { put(at, value, 2) }
        for (at, value) in [(0, 1), (16, 0x10_0000), (24, 0x10_0000), (32, 0x200), (40, 0x200)] {
          put(64 + at, UInt32(value))
        }
      } else {
        for (at, value) in [(28, 52), (42, 32), (44, 1)] as [(Int, UInt32)] { put(at, value, 2) }
        for (at, value) in [(0, 1), (8, 0x10_0000), (12, 0x10_0000), (16, 0x200), (20, 0x200)] {
          put(Self.segment + at, UInt32(value))
        }
      }
      // out 0xf4, al; and where a loader by addresses begins: inc eax before it
      bytes.replaceSubrange(0x17f..<0x182, with: [0x40, 0xe6, 0xf4])
      guard let flags else { return }
      let words = [0x1bad_b002, flags, 0 &- 0x1bad_b002 &- flags] + addresses
      for (index, word) in words.enumerated() { put(Self.header + index * 4, word) }
    }

    mutating func put(_ at: Int, _ value: UInt32, _ count: Int = 4) {
      for index in 0..<count { bytes[at + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }

    func with(_ at: Int, _ value: UInt32, _ count: Int = 4) -> File {
      var file = self
      file.put(at, value, count)
      return file
    }

    /// With a note instead of a segment's description: Xen's entry.
    func note(_ words: [UInt32], size: UInt32) -> File {
      var file = self
      file.put(44, 2, 2)
      file.put(Self.segment + 32, 4)
      file.put(Self.segment + 36, 0xc0)
      file.put(Self.segment + 48, size)
      for (index, word) in words.enumerated() { file.put(0xc0 + index * 4, word) }
      return file
    }
  }

  /// What comes of a file: why not, or its status.
  private func outcome(_ file: [UInt8]) throws -> String {
    let image: BareImage
    do { image = try BareImage(file, loadAddress: nil) } catch { return "\(error)" }
    var configuration = BareConfiguration()
    configuration.architecture = image.architecture
    configuration.memory = 16 << 20
    let machine = try #require(
      BareMachine(configuration, console: TypedConsole(), startOfRun: 0))
    if let problem = image.load(into: machine.ram) { return problem }
    machine.enter(image, .auto)
    return "\(machine.run(limit: 100))"
  }

  /// Status (AL << 1) | 1: of the magic number that multiboot puts into EAX, and of one more.
  private static let runs = "finished(status: 5)", runsByAddresses = "finished(status: 7)"
  /// Of PVH, which leaves EAX zero.
  private static let runsByNote = "finished(status: 1)"

  /// - SeeAlso: Multiboot Specification 0.6.96, 'The magic fields of Multiboot header'.
  @Test(
    arguments: [
      (0, runs), (1, runs), (2, runs), (3, runs),
      // What may be ignored.
      (0xfffe_0003, runs),
      (4, "its multiboot header requires a video mode, which there is not"),
      (7, "its multiboot header requires a video mode, which there is not"),
      (0xc, "its multiboot header requires flags 0xc, which there is not"),
      (0x8003, "its multiboot header requires flags 0x8000, which there is not"),
    ] as [(UInt32, String)])
  func requirements(flags: UInt32, expected: String) throws {
    for isWide in [false, true] {
      #expect(try outcome(File(flags: flags, isWide: isWide).bytes) == expected)
    }
  }

  @Test func whereAHeaderIs() throws {
    let none = "neither a multiboot header nor a PVH note"
    #expect(try outcome(File(flags: nil).bytes) == none)
    // Its sum is wrong; another, behind it, is right.
    var file = File().with(File.header + 8, 1)
    #expect(try outcome(file.bytes) == none)
    for (index, word) in [0x1bad_b002, 0, 0 &- 0x1bad_b002].enumerated() {
      file.put(0x140 + index * 4, UInt32(truncatingIfNeeded: word))
    }
    #expect(try outcome(file.bytes) == Self.runs)
    // The last place where one is looked for, and the first beyond.
    for (place, expected) in [(8180, Self.runs), (8184, none), (8178, none)] {
      var far = File(flags: nil).bytes + [UInt8](repeating: 0, count: 0x2000)
      far.replaceSubrange(
        place..<place + 12, with: [2, 0xb0, 0xad, 0x1b, 0, 0, 0, 0, 0xfe, 0x4f, 0x52, 0xe4])
      #expect(try outcome(far) == expected)
    }
  }

  /// - SeeAlso: Multiboot Specification 0.6.96, 'The address fields of Multiboot header'.
  @Test(
    arguments: [
      // Header, start, end, end of zeroes, entry.
      ([0x20_0100, 0x20_0000, 0x20_0200, 0x20_1000, 0x20_017f], runsByAddresses),
      ([0x20_0100, 0x20_0000, 0, 0, 0x20_017f], runsByAddresses),
      ([0x20_0100, 0x20_0100, 0x20_0200, 0, 0x20_017f], runsByAddresses),
      (
        [0x20_0100, 0x10_0000, 0, 0, 0],
        "a multiboot header that loads what lies before the file"
      ),
      (
        [0x20_0100, 0x20_0104, 0, 0, 0],
        "a multiboot header that loads what lies before the file"
      ),
      (
        [0x20_0100, 0x20_0000, 0x20_0201, 0, 0],
        "truncated: the file ends inside its segments"
      ),
      ([0x20_0100, 0x20_0000, 0x1f_0000, 0, 0], "truncated: the file ends inside its segments"),
      (
        [0x20_0100, 0x20_0000, 0x20_0200, 0x20_01ff, 0],
        "a multiboot header with zeroes that end before they begin"
      ),
      (
        [0x20_0100, 0x20_0000, 0, 0xffff_ffff, 0x20_0180],
        "0x200000 to 0xffffffff is not in RAM, which is 0x0 to 0x1000000"
      ),
      ([0x20_0100, 0x20_0000, 0, 0, 0xffff_ffff], "the entry 0xffffffff is not in RAM"),
    ] as [([UInt32], String)])
  func addresses(words: [UInt32], expected: String) throws {
    #expect(try outcome(File(flags: 0x1_0003, addresses: words).bytes) == expected)
  }

  /// - SeeAlso: System V ABI, 'Program Header'.
  @Test func segments() throws {
    let file = File()
    let at = File.segment
    for (field, value, expected) in [
      (24, 0x5000_0000, "the entry 0x50000000 is not in RAM"),
      (28, 0xffff_fff0, "truncated: the file ends inside its headers"),
      (28, 0x1fe, "truncated: the file ends inside its headers"),
      (28, 0x1c0, "no loadable segment"),
      (at + 4, 0xffff_ffff, "truncated: the file ends inside its segments"),
      (at + 16, 0x201, "truncated: the file ends inside its segments"),
      (at + 16, 0xffff_ffff, "truncated: the file ends inside its segments"),
      (at + 20, 0x1ff, "a segment that does not fit below 4 GiB"),
      (
        at + 20, 0xffff_ffff, "0x100000 to 0x1000fffff is not in RAM, which is 0x0 to 0x1000000"
      ),
      (
        at + 12, 0xffff_ff00,
        "0xffffff00 to 0x100000100 is not in RAM, which is 0x0 to 0x1000000"
      ),
      (at + 12, 0xff_ff00, "0xffff00 to 0x1000100 is not in RAM, which is 0x0 to 0x1000000"),
      (at + 12, 0x78ff, "a segment at 0x78ff, where boot information lies"),
      (at + 12, 0x6e01, "a segment at 0x6e01, where boot information lies"),
      (at + 12, 0x7900, Self.runs), (at + 12, 0x6e00, Self.runs),
    ] as [(Int, UInt32, String)] {
      #expect(try outcome(file.with(field, value).bytes) == expected, "\(field)")
    }
    #expect(
      try outcome(file.with(42, 31, 2).bytes) == "program headers of 31 bytes, 1 of them")
    #expect(
      try outcome(file.with(44, 0xffff, 2).bytes) == "program headers of 32 bytes, 65535 of them")
    // What no loader looks at may say anything.
    #expect(
      try outcome(file.with(44, 2, 2).with(at + 36, 0xffff_ffff).bytes) == Self.runs)
    // However little there is of it.
    for isWide in [false, true] {
      let whole = File(isWide: isWide).bytes
      for count in 21..<whole.count {
        let text = try outcome(Array(whole.prefix(count)))
        #expect(text.hasPrefix("truncated: "), "\(count): \(text)")
      }
    }
  }

  /// - SeeAlso: Xen, 'x86/HVM direct boot ABI'.
  @Test func notes() throws {
    let file = File(flags: nil)
    let good: [UInt32] = [4, 4, 18, 0x006e_6558, 0x10_0180]
    let none = "neither a multiboot header nor a PVH note"
    #expect(try outcome(file.note(good, size: 20).bytes) == Self.runsByNote)
    #expect(try outcome(file.note([3, 5, 1, 0, 0, 0] + good, size: 44).bytes) == Self.runsByNote)
    for (words, size, expected) in [
      ([4, 4, 18, 0x006e_6558, 0x5000_0000], 20, "the entry 0x50000000 is not in RAM"),
      (good, 16, "truncated: the file ends inside its notes"), (good, 11, none),
      ([4, 3, 18, 0x006e_6558, 0], 20, none), ([4, 4, 18, 0x006e_6557, 0], 20, none),
      ([0xffff_ffff, 4, 18, 0x006e_6558, 0], 20, none),
      ([4, 0xffff_ffff, 17, 0x006e_6558, 0], 20, none), ([], 20, none),
      (good, 0x7fff_ffff, "truncated: the file ends inside its segments"),
    ] as [([UInt32], UInt32, String)] {
      #expect(try outcome(file.note(words, size: size).bytes) == expected, "\(words) \(size)")
    }
  }

  /// Of the command line as a whole or not at all.
  @Test func bootargs() throws {
    let scratch = try Scratch()
    let path = try scratch.file("image", File().bytes)
    for (count, status) in [(1791, 5), (1792, 125)] as [(Int, Int32)] {
      let result = try Child(
        ["run", "--bare", "--append", String(repeating: "x", count: count), path]
      ).finish()
      #expect(result.status == status)
      #expect(
        status == 5
          || result.errors.hasSuffix("its command line has at most 1791 bytes\n"),
        "\(result.errors)")
    }
  }
}
