import Engine
import Testing

@testable import GuestKernel

@Suite("MM: exec") struct MMExecTests {
  static let text = TestELF.Segment(
    flags: 5, address: 0x10000, bytes: [UInt8](repeating: 0x13, count: 5000))
  static let data = TestELF.Segment(
    flags: 6, address: 0x12010, bytes: [UInt8](repeating: 7, count: 100), memory: 10000)

  static func path(_ text: String) -> [UInt8] { Array(text.utf8) }

  private func run(
    _ bench: Bench, _ bytes: [UInt8], argv: [String] = ["prog", "one"], envp: [String] = ["A=b"],
    others: [String: [UInt8]] = [:], _ change: (inout ExecRequest) -> Void = { _ in }
  ) throws -> ExecResult {
    var request = ExecRequest(
      file: try bench.file(bytes).open, path: Self.path("/bin/prog"), argv: argv.map(Self.path),
      envp: envp.map(Self.path))
    change(&request)
    return try Exec.load(
      request, frames: bench.frames, isa: bench.isa, kernelRoot: bench.kernelRoot, asid: 3,
      host: bench.host
    ) { (path) throws(Errno) in
      guard let bytes = others[String(decoding: path, as: UTF8.self)] else { throw .ENOENT }
      return try bench.file(bytes).open
    }
  }

  private func failure(_ body: () throws -> ExecResult) -> String {
    do {
      _ = try body()
      return "none"
    } catch let error as ExecError {
      return "\(error.errno): \(error)"
    } catch {
      return "\(error)"
    }
  }

  private func words(
    _ space: AddressSpace, _ from: UInt64
  ) throws -> (
    argv: [String], envp: [String], aux: [UInt64: UInt64]
  ) {
    var at = from + 8
    func strings() throws -> [String] {
      var list: [String] = []
      while true {
        let pointer = try space.load(at, as: UInt64.self)
        at += 8
        if pointer == 0 { return list }
        list.append(
          String(decoding: try space.readCString(pointer, max: 200_000), as: UTF8.self))
      }
    }
    let argv = try strings()
    let envp = try strings()
    var aux: [UInt64: UInt64] = [:]
    while true {
      let type = try space.load(at, as: UInt64.self)
      if type == 0 { break }
      aux[type] = try space.load(at + 8, as: UInt64.self)
      at += 16
    }
    #expect(try space.load(from, as: UInt64.self) == UInt64(argv.count))
    return (argv, envp, aux)
  }

  @Test func fixedProgram() throws {
    let bench = try Bench()
    let elf = TestELF(entry: 0x10100, segments: [Self.text, Self.data])
    let result = try run(bench, elf.bytes)
    let space = result.space
    #expect(result.pc == 0x10100)
    #expect(result.sp & 15 == 0)
    #expect(result.name == Self.path("prog"))
    #expect(try space.load(0x12010, as: UInt8.self) == 7)
    // What follows the data in its page is zero, and so is the rest.
    #expect(try space.load(0x12010 + 99, as: UInt16.self) == 7)
    #expect(try space.load(0x12010 + 9999 - 7, as: UInt64.self) == 0)
    #expect(space.handleFault(0x15000, .load, user: true) == .mapError)
    #expect(space.layout.brk == 0x15000)
    #expect(space.brk(0x16000) == 0x16000)
    try space.store(0x15000, UInt8(1))
    #expect(errno { try space.store(0x10000, UInt8(1)) } == .EFAULT)
    let (argv, envp, aux) = try words(space, result.sp)
    #expect(argv == ["prog", "one"])
    #expect(envp == ["A=b"])
    #expect(aux[3] == 0)
    #expect(aux[4] == 56)
    #expect(aux[5] == 2)
    #expect(aux[6] == 4096)
    #expect(aux[7] == 0)
    #expect(aux[9] == 0x10100)
    #expect(aux[16] == 0x112d)
    #expect(aux[17] == 100)
    #expect(aux[23] == 0)
    #expect(try space.read(try #require(aux[25]), 4) == [0, 1, 2, 3])
    #expect(
      try space.readCString(try #require(aux[31]), max: 100) == Self.path("/bin/prog"))
    let layout = space.layout
    #expect(
      try space.read(layout.argStart, Int(layout.argEnd - layout.argStart))
        == Self.path("prog\0one\0"))
    #expect(
      try space.read(layout.envStart, Int(layout.envEnd - layout.envStart)) == Self.path("A=b\0"))
    // The page above the stack is left free.
    let top: UInt64 = (1 << 38) - 4096
    #expect(space.vmas.last?.end == top)
    #expect(space.vmas.last?.name == "[stack]")
    #expect(try space.read(space.signalPage, 8) == bench.isa.signalPage)
    #expect(space.auxv.count == 18 * 16)
    // The stack goes down to its limit and not further.
    try space.store(top - (8 << 20), UInt8(1))
    #expect(errno { try space.store(top - (8 << 20) - 1, UInt8(1)) } == .EFAULT)
  }

  @Test func positionIndependent() throws {
    let bench = try Bench()
    var segments = [Self.text, Self.data]
    segments[0].address = 0
    segments[1].address = 0x2010
    let base = ((1 << 38) / 3 * 2) & ~4095 as UInt64
    let alone = try run(bench, TestELF(type: 3, entry: 0x100, segments: segments).bytes)
    #expect(alone.pc == base + 0x100)
    #expect(alone.space.layout.startBrk == base + 0x5000)
    // With an interpreter, which is a shared object itself.
    let interp = TestELF.Segment(
      type: 3, flags: 4, address: 0x200, bytes: Self.path("/lib/ld.so\0"))
    let elf = TestELF(type: 3, entry: 0x100, segments: segments + [interp]).bytes
    let loader = TestELF(type: 3, entry: 0x40, segments: segments).bytes
    let result = try run(bench, elf, others: ["/lib/ld.so": loader])
    let (_, _, aux) = try words(result.space, result.sp)
    let loaded = try #require(aux[7])
    #expect(loaded == (1 << 38) - (128 << 20) - 0x5000)
    #expect(result.pc == loaded + 0x40)
    #expect(aux[9] == base + 0x100)
    #expect(try result.space.load(loaded + 0x2010, as: UInt8.self) == 7)
    #expect(
      failure { try run(bench, elf) }
        == "ENOENT: /bin/prog: needs the interpreter /lib/ld.so: ENOENT")
    #expect(
      failure { try run(bench, elf, others: ["/lib/ld.so": [1, 2]]) }
        == "ELIBBAD: /lib/ld.so: not an ELF file")
  }

  @Test func programHeadersInMemory() throws {
    let bench = try Bench()
    var elf = TestELF(
      entry: 0x10000, segments: [TestELF.Segment(flags: 5, address: 0x10000, bytes: [])]
    ).bytes
    // One segment that is the whole file.
    elf.store64(64 + 8, 0)
    elf.store64(64 + 32, UInt64(elf.count))
    elf.store64(64 + 40, UInt64(elf.count))
    let result = try run(bench, elf)
    let (_, _, aux) = try words(result.space, result.sp)
    #expect(aux[3] == 0x10040)
  }

  @Test func scripts() throws {
    let bench = try Bench()
    let elf = TestELF(entry: 0x10000, segments: [Self.text]).bytes
    func arguments(_ script: String, _ argv: [String] = ["s", "x"]) throws -> [String] {
      let result = try run(
        bench, Self.path(script), argv: argv,
        others: ["/bin/sh": elf, "/bin/again": Self.path("#!/bin/sh -e\n")])
      #expect(result.name == Self.path("prog"))
      return try words(result.space, result.sp).argv
    }
    #expect(try arguments("#!/bin/sh\n") == ["/bin/sh", "/bin/prog", "x"])
    #expect(try arguments("#! \t/bin/sh  -a b \t\nrest") == ["/bin/sh", "-a b", "/bin/prog", "x"])
    #expect(try arguments("#!/bin/sh") == ["/bin/sh", "/bin/prog", "x"])
    #expect(try arguments("#!/bin/sh\n", []) == ["/bin/sh", "/bin/prog"])
    #expect(
      try arguments("#!/bin/again y\n")
        == ["/bin/sh", "-e", "/bin/again", "y", "/bin/prog", "x"])
    for bad in ["#!", "#!\n", "#!   \n", "#!   ", "#!" + String(repeating: "a", count: 300)] {
      #expect(
        failure { try run(bench, Self.path(bad)) }
          == "ENOEXEC: /bin/prog: no interpreter after #!")
    }
    #expect(
      failure { try run(bench, Self.path("#!/no\n")) }
        == "ENOENT: /bin/prog: needs the interpreter /no: ENOENT")
    #expect(
      failure {
        try run(bench, Self.path("#!/loop\n"), others: ["/loop": Self.path("#!/loop\n")])
      } == "ELOOP: /bin/prog: too many interpreters of interpreters")
  }

  @Test func argumentLimits() throws {
    let bench = try Bench()
    let elf = TestELF(entry: 0x10000, segments: [Self.text]).bytes
    func long(_ count: Int) -> String { String(repeating: "x", count: count) }
    let result = try run(bench, elf, argv: [long(131071)])
    #expect(try words(result.space, result.sp).argv[0].utf8.count == 131071)
    #expect(failure { try run(bench, elf, argv: [long(131072)]) }.hasPrefix("E2BIG"))
    #expect(
      failure { try run(bench, elf, argv: Array(repeating: long(131000), count: 17)) }
        .hasPrefix("E2BIG"))
    _ = try run(bench, elf, argv: Array(repeating: long(131000), count: 15))
    #expect(
      failure { try run(bench, elf, envp: [long(131000)]) { $0.limits.stack = 4096 } }
        .hasPrefix("E2BIG") == false)
    let none = try run(bench, elf, argv: [], envp: [])
    #expect(try words(none.space, none.sp).argv == [""])
  }

  @Test func reasons() throws {
    let bench = try Bench()
    func reason(_ bytes: [UInt8]) -> String { failure { try run(bench, bytes) } }
    #expect(reason([]) == "ENOEXEC: /bin/prog: not an ELF file")
    #expect(
      reason(TestELF(machine: 62, entry: 0x10000, segments: [Self.text]).bytes)
        == "ENOEXEC: /bin/prog: made for x86-64, not for RISC-V")
    #expect(
      reason(TestELF(entry: 0x12010, segments: [Self.text, Self.data]).bytes)
        == "ENOEXEC: /bin/prog: entry 0x12010 is not in an executable segment")
    var low = Self.text
    low.address = 0x1000
    #expect(
      reason(TestELF(entry: 0x1000, segments: [low]).bytes)
        == "EPERM: /bin/prog: can't be loaded: EPERM")
    var huge = Self.data
    huge.memory = 1 << 39
    #expect(
      reason(TestELF(entry: 0x10000, segments: [Self.text, huge]).bytes).hasPrefix("ENOEXEC"))
    var top = Self.text
    top.address = (1 << 38) - 8192
    #expect(reason(TestELF(entry: top.address, segments: [top]).bytes).hasPrefix("ENOMEM"))
    let used = bench.frames.used
    _ = reason([])
    #expect(bench.frames.used == used)
  }

  /// Programs of damaged headers are refused or run: nothing traps.
  @Test func damagedPrograms() throws {
    let bench = try Bench(megabytes: 64)
    var interp = Self.data
    interp.type = 3
    let whole = TestELF(
      type: 3, entry: 0x10000, segments: [Self.text, Self.data, interp]
    ).bytes
    var random = SplitMix(state: 1)
    for _ in 0..<1500 {
      var bytes = whole
      for _ in 0...(random.next() % 4) {
        let at = Int(random.next() % (64 + 3 * 56))
        bytes[at] = random.next() % 2 == 0 ? UInt8(truncatingIfNeeded: random.next()) : 0xff
      }
      _ = try? run(bench, bytes).space.releaseAll()
    }
  }
}
