import Testing

@testable import Machine

#if canImport(Glibc)
import Glibc
#endif

@Suite struct FDTTests {
  static var hasCompiler: Bool { access("/usr/bin/dtc", X_OK) == 0 }

  static func word(_ blob: [UInt8], _ offset: Int) -> Int {
    blob[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) }
  }

  @Test func headerIsVersion17() {
    var tree = FDTWriter()
    tree.reserve(0x8000_0000, 0x1000)
    tree.node("") { root in
      root.property("a", cells: [1, 0xffff_ffff])
      root.node("n@1") { $0.property("a", strings: ["x", "yz"]) }
      root.property("flag")
    }
    let blob = tree.blob(bootHart: 3)
    #expect(Self.word(blob, 0) == 0xd00d_feed)
    #expect(Self.word(blob, 4) == blob.count)
    #expect(Self.word(blob, 16) == 40)
    #expect(Self.word(blob, 20) == 17)
    #expect(Self.word(blob, 24) == 16)
    #expect(Self.word(blob, 28) == 3)
    let structure = Self.word(blob, 8)
    #expect(structure == 40 + 32)
    let strings = Self.word(blob, 12)
    #expect(strings == structure + Self.word(blob, 36))
    #expect(Self.word(blob, 32) == 7)
    #expect(Array(blob[strings...]) == Array("a\0flag\0".utf8))
    let words = stride(from: structure, to: strings, by: 4).map { Self.word(blob, $0) }
    #expect(
      words == [
        1, 0, 3, 8, 0, 1, 0xffff_ffff, 1, 0x6e40_3100, 3, 5, 0, 0x7800_797a, 0, 2, 3, 0, 2, 2, 9,
      ])
  }

  @Test func blobGoesWhereQEMUPutsIt() {
    let base = BoardMap.ramBase
    for (size, expected) in [
      (128 << 20, 0x87e0_0000), (4 << 30, 0xbfe0_0000), (1 << 20, 0x8000_0000),
    ] as [(UInt64, UInt64)] {
      #expect(BoardTree.address(ramBase: base, ramSize: size, blobSize: 5000) == expected)
    }
  }

  @Test func takesTheISAStringApart() {
    var tree = BoardTree()
    tree.isa = "rv64imac_zicsr_sstc"
    #expect(tree.extensions == ["i", "m", "a", "c", "zicsr", "sstc"])
  }

  /// The devicetree compiler reads the blob without a complaint and sees what was meant.
  @Test(.enabled(if: hasCompiler)) func compilerReadsIt() throws {
    var tree = BoardTree()
    tree.hartCount = 3
    tree.bootargs = "console=ttyS0 \"quoted\""
    tree.initrd = 0x8400_0000..<0x8500_0000
    var name = Array("/tmp/emu-fdt-XXXXXX".utf8CString)
    let file = mkstemp(&name)
    try #require(file >= 0)
    let path = name.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
    defer { unlink(path) }
    let blob = tree.blob()
    #expect(blob.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == blob.count)
    close(file)
    let pipe = try #require(popen("/usr/bin/dtc -I dtb -O dts \(path) 2>&1", "r"))
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let got = fread(&buffer, 1, buffer.count, pipe), got > 0 { text += buffer[..<got] }
    #expect(pclose(pipe) == 0)
    let source = String(decoding: text, as: UTF8.self)
    #expect(!source.contains("Warning"), "\(source)")
    for line in [
      "timebase-frequency = <0x3b9aca00>;",
      "riscv,isa = \"rv64imafdc_zicsr_zifencei_zba_zbb_zbs_zicond_sstc\";",
      "mmu-type = \"riscv,sv48\";", "reg = <0x00 0x80000000 0x00 0x8000000>;",
      "stdout-path = \"/soc/serial@10000000\";", "linux,initrd-end = <0x00 0x85000000>;",
      "bootargs = \"console=ttyS0 \\\"quoted\\\"\";", "riscv,ndev = <0x5f>;",
      "interrupts-extended = <0x04 0x0b 0x04 0x09 0x06 0x0b 0x06 0x09 0x08 0x0b 0x08 0x09>;",
      "virtio_mmio@10008000 {", "interrupts = <0x0a>;", "compatible = \"syscon-poweroff\";",
      "compatible = \"sifive,clint0\", \"riscv,clint0\";",
    ] {
      let escaped = line.replacing("\", \"", with: "\\0")
      #expect(source.contains(line) || source.contains(escaped), "\(line)")
    }
  }
}
