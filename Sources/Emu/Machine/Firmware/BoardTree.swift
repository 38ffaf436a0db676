/// The devicetree of the board, as QEMU's `virt` describes itself as far as the devices are here.
///
/// - SeeAlso: QEMU hw/riscv/virt.c, `create_fdt`; Linux Documentation/devicetree/bindings/riscv/cpus.yaml,
///   interrupt-controller/sifive,plic-1.0.0.yaml, timer/sifive,clint.yaml, virtio/mmio.yaml.
public struct BoardTree: Sendable {
  /// How many harts.
  public var hartCount = 1
  /// Size of RAM.
  public var ramSize: UInt64 = 128 << 20
  /// The ISA string.
  public var isa = "rv64imafdc_zicsr_zifencei_zba_zbb_zbs_zicond_sstc"
  /// The largest address translation: `riscv,sv39`, `riscv,sv48` or `riscv,none`.
  public var mmuType = "riscv,sv48"
  /// Ticks of `mtime` in a second: one tick is one instruction and counts as a nanosecond.
  public var timebase: UInt32 = 1_000_000_000
  /// The kernel's command line.
  public var bootargs: String?
  /// Where an initial RAM disk lies.
  public var initrd: Range<UInt64>?

  /// A board with one hart and 128 MiB.
  public init() {}

  /// Where QEMU puts the blob: as high as fits, on 2 MiB, in RAM and below 3 GiB.
  public static func address(ramBase: UInt64, ramSize: UInt64, blobSize: Int) -> UInt64 {
    let end = ramBase &+ ramSize
    let top = ramBase < 0xc000_0000 ? min(end, 0xc000_0000) : end
    return max((top &- UInt64(blobSize)) & ~0x1f_ffff, ramBase)
  }

  /// The blob.
  public func blob(bootHart: Int = 0) -> [UInt8] {
    var tree = FDTWriter()
    tree.node("") { root in
      root.property("#address-cells", cells: [2])
      root.property("#size-cells", cells: [2])
      root.property("compatible", strings: ["riscv-virtio"])
      root.property("model", strings: ["riscv-virtio,qemu"])
      chosen(&root)
      root.node("memory@\(hex(BoardMap.ramBase))") { node in
        node.property("device_type", strings: ["memory"])
        node.property("reg", wide: [BoardMap.ramBase, ramSize])
      }
      cpus(&root)
      syscon(&root, "poweroff", 0x5555)
      syscon(&root, "reboot", 0x7777)
      root.node("soc") { soc in
        soc.property("#address-cells", cells: [2])
        soc.property("#size-cells", cells: [2])
        soc.property("compatible", strings: ["simple-bus"])
        soc.property("ranges")
        interruptControllers(&soc)
        peripherals(&soc)
      }
    }
    return tree.blob(bootHart: UInt32(truncatingIfNeeded: bootHart))
  }

  // Phandles: 1 PLIC, 2 finisher, then for hart h its node and its interrupt controller.
  private static let plicHandle: UInt32 = 1
  private static let finisherHandle: UInt32 = 2
  private func hartHandle(_ hart: Int) -> UInt32 { UInt32(3 + 2 * hart) }
  private func interruptHandle(_ hart: Int) -> UInt32 { UInt32(4 + 2 * hart) }

  private func hex(_ value: UInt64) -> String { String(value, radix: 16) }

  private func chosen(_ root: inout FDTWriter) {
    root.node("chosen") { node in
      if let bootargs { node.property("bootargs", strings: [bootargs]) }
      node.property("stdout-path", strings: ["/soc/serial@\(hex(BoardMap.uart.base))"])
      if let initrd {
        node.property("linux,initrd-start", wide: [initrd.lowerBound])
        node.property("linux,initrd-end", wide: [initrd.upperBound])
      }
    }
  }

  private func syscon(_ root: inout FDTWriter, _ name: String, _ value: UInt32) {
    root.node(name) { node in
      node.property("value", cells: [value])
      node.property("offset", cells: [0])
      node.property("regmap", cells: [Self.finisherHandle])
      node.property("compatible", strings: ["syscon-\(name)"])
    }
  }

  private func cpus(_ root: inout FDTWriter) {
    root.node("cpus") { cpus in
      cpus.property("#address-cells", cells: [1])
      cpus.property("#size-cells", cells: [0])
      cpus.property("timebase-frequency", cells: [timebase])
      for hart in 0..<hartCount {
        cpus.node("cpu@\(hex(UInt64(hart)))") { node in
          node.property("phandle", cells: [hartHandle(hart)])
          node.property("device_type", strings: ["cpu"])
          node.property("reg", cells: [UInt32(hart)])
          node.property("status", strings: ["okay"])
          node.property("compatible", strings: ["riscv"])
          node.property("riscv,isa", strings: [isa])
          node.property("riscv,isa-base", strings: [String(isa.prefix(5))])
          node.property("riscv,isa-extensions", strings: extensions)
          node.property("mmu-type", strings: [mmuType])
          node.node("interrupt-controller") { controller in
            controller.property("#address-cells", cells: [0])
            controller.property("#interrupt-cells", cells: [1])
            controller.property("interrupt-controller")
            controller.property("compatible", strings: ["riscv,cpu-intc"])
            controller.property("phandle", cells: [interruptHandle(hart)])
          }
        }
      }
      cpus.node("cpu-map") { map in
        map.node("cluster0") { cluster in
          for hart in 0..<hartCount {
            cluster.node("core\(hart)") { $0.property("cpu", cells: [hartHandle(hart)]) }
          }
        }
      }
    }
  }

  /// The ISA string taken apart: single letters, then the names behind underscores.
  var extensions: [String] {
    let parts = isa.split(separator: "_").map(String.init)
    let letters = parts.first.map { $0.dropFirst(4).map(String.init) } ?? []
    return letters + parts.dropFirst()
  }

  private func interruptControllers(_ soc: inout FDTWriter) {
    func lines(_ numbers: [UInt32]) -> [UInt32] {
      (0..<hartCount).flatMap { hart in numbers.flatMap { [interruptHandle(hart), $0] } }
    }
    soc.node("plic@\(hex(BoardMap.plic.base))") { node in
      node.property("phandle", cells: [Self.plicHandle])
      node.property("riscv,ndev", cells: [UInt32(PLIC.sourceCount - 1)])
      node.property("reg", wide: [BoardMap.plic.base, BoardMap.plic.size])
      node.property("interrupts-extended", cells: lines([11, 9]))
      node.property("interrupt-controller")
      node.property("compatible", strings: ["sifive,plic-1.0.0", "riscv,plic0"])
      node.property("#address-cells", cells: [0])
      node.property("#interrupt-cells", cells: [1])
    }
    soc.node("clint@\(hex(BoardMap.clint.base))") { node in
      node.property("interrupts-extended", cells: lines([3, 7]))
      node.property("reg", wide: [BoardMap.clint.base, BoardMap.clint.size])
      node.property("compatible", strings: ["sifive,clint0", "riscv,clint0"])
    }
  }

  private func peripherals(_ soc: inout FDTWriter) {
    func interrupt(_ node: inout FDTWriter, _ source: Int) {
      node.property("interrupts", cells: [UInt32(source)])
      node.property("interrupt-parent", cells: [Self.plicHandle])
    }
    soc.node("rtc@\(hex(BoardMap.rtc.base))") { node in
      interrupt(&node, BoardMap.rtcSource)
      node.property("reg", wide: [BoardMap.rtc.base, BoardMap.rtc.size])
      node.property("compatible", strings: ["google,goldfish-rtc"])
    }
    soc.node("serial@\(hex(BoardMap.uart.base))") { node in
      interrupt(&node, BoardMap.uartSource)
      node.property("clock-frequency", cells: [3_686_400])
      node.property("reg", wide: [BoardMap.uart.base, BoardMap.uartSizeInTree])
      node.property("compatible", strings: ["ns16550a"])
    }
    soc.node("test@\(hex(BoardMap.finisher.base))") { node in
      node.property("phandle", cells: [Self.finisherHandle])
      node.property("reg", wide: [BoardMap.finisher.base, BoardMap.finisher.size])
      node.property("compatible", strings: ["sifive,test1", "sifive,test0", "syscon"])
    }
    for index in 0..<BoardMap.virtIOCount {
      let range = BoardMap.virtIO(index)
      soc.node("virtio_mmio@\(hex(range.base))") { node in
        interrupt(&node, BoardMap.virtIOSource(index))
        node.property("reg", wide: [range.base, range.size])
        node.property("compatible", strings: ["virtio,mmio"])
      }
    }
  }
}
