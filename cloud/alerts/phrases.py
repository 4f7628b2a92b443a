"""What is said of each fault, in Chinese and English, as data.

In braces: ``site``, ``box``, ``part`` (the workload, channel, or index of the GPU), ``count`` of boxes, and the
details that a fault brings. ``one`` is said of one box, ``many`` of several; a fault of no box has only ``one``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cloud.alerts.fault import Code
from cloud.alerts.notice import Language, Occasion

ZH, EN = Language.CHINESE, Language.ENGLISH
SAME: Final = "-"
"""Said of several as of one."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One language's words for one code."""

    one: str
    many: str
    advice: str


_TABLE: Final = """
ObserverDegraded
    监控自身听不清: 所有判断暂停
    -
    盒子可能一切正常。请检查消息代理、监控进程和它们之间的网络。
    The monitor does not hear well: all verdicts are frozen
    -
    The boxes may be fine. Check the broker, the monitor and the network between them.
FleetDark
    多数转运中心同时失联
    -
    这么多线路不会同时断: 请先检查云端的上行链路、消息代理和运营商。
    Most sites fell silent together
    -
    So many uplinks do not break at once: check the cloud's own uplink, the broker and the provider first.
SiteDark
    转运中心 {site} 失联
    -
    请检查该中心的上行链路和供电; 恢复后盒子会自己补上缺的版本。
    Site {site} is dark
    -
    Check its uplink and its power. Its boxes catch up by themselves when it returns.
SiteLinkPoor
    转运中心 {site} 的线路质量差
    -
    盒子仍在线, 但心跳丢失或迟到。请运营商检查线路。
    The uplink of site {site} is poor
    -
    Its boxes are there, but beats get lost or come late. Have the provider check the line.
BoxSilent
    {site} 的盒子 {box} 失联
    {site} 的 {count} 台盒子失联
    现场没有别的盒子能证明是断电还是断网, 请打电话给现场。
    Box {box} at {site} is silent
    {count} boxes at {site} are silent
    No other box at the site can tell whether it is power or link: call the site.
AgentDown
    {site} 的盒子 {box} 上代理程序停了
    {site} 的 {count} 台盒子上代理程序停了
    机器仍在运行, 业务多半正常。请在盒子上看: systemctl status edgeagent
    The agent on box {box} at {site} is down
    The agents on {count} boxes at {site} are down
    The machine runs, and its workloads most likely as well. On the box: systemctl status edgeagent
BoxUnreachable
    {site} 的盒子 {box} 到云端的线路断了
    {site} 的 {count} 台盒子到云端的线路断了
    盒子在现场局域网内有应答, 只是自己的线路断了。请检查它的网线、交换机端口和防火墙。
    Box {box} at {site} has lost its way to the cloud
    {count} boxes at {site} have lost their way to the cloud
    It answers its neighbours, only its own way out is cut: check its cable, switch port and firewall.
BoxDown
    {site} 的盒子 {box} 断电或死机
    {site} 的 {count} 台盒子断电或死机
    它对同一局域网的盒子也没有应答。请现场检查电源, 必要时重启。
    Box {box} at {site} has no power or hangs
    {count} boxes at {site} have no power or hang
    It does not answer its neighbours either. Have the site check its power and start it anew.
BoxCloned
    两台机器同时自称 {box} ({site})
    {site} 有 {count} 个名字各被两台机器使用
    多半是硬盘被克隆。请为其中一台重新登记: edgefleet enrol
    Two machines speak as {box} at {site}
    {count} names at {site} are each used by two machines
    Most likely a disk was cloned. Enrol one of them anew: edgefleet enrol
ClockWrong
    {site} 的盒子 {box} 时钟不准
    {site} 的 {count} 台盒子时钟不准
    请检查盒子的时间同步 (chrony 或 systemd-timesyncd)。
    The clock of box {box} at {site} is wrong
    The clocks of {count} boxes at {site} are wrong
    Check the box's time synchronisation (chrony or systemd-timesyncd).
DiskFull
    {site} 的盒子 {box} 磁盘已满
    {site} 的 {count} 台盒子磁盘已满
    请清理日志和旧镜像; 满了之后业务写不进数据。
    The disk of box {box} at {site} is full
    The disks of {count} boxes at {site} are full
    Remove logs and old images: workloads cannot write any more.
ConfigRefused
    {site} 的盒子 {box} 拒绝了新配置
    {site} 的 {count} 台盒子拒绝了新配置
    盒子沿用旧配置。请按下面的原因改正配置。
    Box {box} at {site} refuses its new configuration
    {count} boxes at {site} refuse their new configuration
    It goes on with the one before. Mend the configuration as the reason says.
WorkloadMissing
    {site} 的盒子 {box} 上没有 {part}
    {site} 的 {count} 台盒子上没有 {part}
    应当运行却没有运行。请看: edgefleet why {part}
    {part} is missing on box {box} at {site}
    {part} is missing on {count} boxes at {site}
    It should run there and does not. See: edgefleet why {part}
WorkloadStalled
    {site} 的盒子 {box} 上 {part} 卡住了
    {site} 的 {count} 台盒子上 {part} 卡住了
    进程还在, 计数不再增长。请检查扫描枪或相机; 必要时重启该业务。
    {part} stands still on box {box} at {site}
    {part} stands still on {count} boxes at {site}
    Its process lives, its counter does not move. Check scanner or camera; restart the workload if need be.
WorkloadCrashed
    {site} 的盒子 {box} 上 {part} 崩溃
    {site} 的 {count} 台盒子上 {part} 崩溃
    正在自动重启。若反复出现, 请看该业务的日志。
    {part} crashed on box {box} at {site}
    {part} crashed on {count} boxes at {site}
    It is started again by itself. If it comes back, read the workload's log.
WorkloadCrashLooping
    {site} 的盒子 {box} 上 {part} 反复崩溃
    {site} 的 {count} 台盒子上 {part} 反复崩溃
    重启不起作用。请看日志; 若刚发过新版本, 请退回旧版本。
    {part} crashes again and again on box {box} at {site}
    {part} crashes again and again on {count} boxes at {site}
    Starting it anew does not help. Read its log; if a new version has just come, go back to the one before.
GpuUnknown
    {site} 的盒子 {box} 的显卡驱动没有应答
    {site} 的 {count} 台盒子的显卡驱动没有应答
    业务可能仍在运行。请在盒子上看: nvidia-smi
    The GPU driver of box {box} at {site} does not answer
    The GPU drivers of {count} boxes at {site} do not answer
    Workloads may still run. On the box: nvidia-smi
GpuFailing
    {site} 的盒子 {box} 的显卡 {part} 报硬件错误
    {site} 的 {count} 台盒子的显卡报硬件错误
    请把业务移走并重启盒子; 再出现就更换显卡。
    GPU {part} of box {box} at {site} reports hardware errors
    GPUs of {count} boxes at {site} report hardware errors
    Move its work away and restart the box; if it comes back, replace the GPU.
GpuLost
    {site} 的盒子 {box} 丢了显卡 {part}
    {site} 的 {count} 台盒子丢了显卡
    显卡从总线上消失。请断电重启盒子, 并检查供电、散热和插槽。
    Box {box} at {site} has lost GPU {part}
    {count} boxes at {site} have lost GPUs
    It is gone from the bus. Switch the box off and on; check power, cooling and slot.
ChannelFailing
    通知渠道 {part} 发不出消息
    -
    其它渠道仍在工作。请按下面的原因检查地址和密钥。
    The channel {part} does not deliver
    -
    Other channels still work. Check its address and secret as the reason says.
"""
"""A code; then in Chinese and in English what is said of one box, of several (- : the same), and what to do."""


def _read(table: str) -> Mapping[Code, Mapping[Language, Phrase]]:
    lines = [line.strip() for line in table.strip().splitlines()]
    return MappingProxyType(
        {
            Code(code): MappingProxyType({ZH: Phrase(*said[:3]), EN: Phrase(*said[3:])})
            for code, *said in (lines[start : start + 7] for start in range(0, len(lines), 7))
        }
    )


PHRASES: Final = _read(_TABLE)

DETAILS: Final[tuple[tuple[frozenset[str], Mapping[Language, str]], ...]] = tuple(
    (frozenset(names.split()), MappingProxyType({ZH: zh, EN: en}))
    for names, zh, en in (
        ("exit", "退出码 {exit}", "Exit code {exit}"),
        ("signal", "被信号 {signal} 终止", "Ended by signal {signal}"),
        ("ran", "运行了 {ran} 秒", "It had run for {ran} s"),
        ("restarts", "已重启 {restarts} 次", "Started anew {restarts} times"),
        ("counter stood", "计数停在 {counter}, 已 {stood} 秒", "Its counter has stood at {counter} for {stood} s"),
        ("xid", "Xid {xid}", "Xid {xid}"),
        ("text", "{text}", "{text}"),
        ("why", "原因: {why}", "Reason: {why}"),
        ("path free", "{path} 剩余 {free} 字节", "{free} bytes are left on {path}"),
        ("loss", "约 {loss} 的心跳丢失或迟到", "About {loss} of its beats get lost or late"),
        ("ahead", "与其它盒子相差 {ahead} 秒", "It differs from the other boxes by {ahead} s"),
    )
)
"""Lines of details, each said when all that it names are known."""

WITNESS: Final[Mapping[str, Mapping[Language, str]]] = MappingProxyType(
    {
        "": {ZH: "依据: 没有心跳", EN: "Seen by: its own silence"},
        "broker": {ZH: "依据: 连接由机器自己关闭", EN: "Seen by: its machine closed the connection"},
        "box": {ZH: "依据: 邻居 {witness} 的探测", EN: "Seen by: its neighbour {witness} had a look"},
    }
)

OCCASIONS: Final[Mapping[Occasion, Mapping[Language, str]]] = MappingProxyType(
    {
        Occasion.FLAPPING: {
            ZH: "时好时坏: 稳定之前不再通知",
            EN: "It comes and goes: no more is said until it is stable",
        },
        Occasion.REPEATED: {
            ZH: "已 {lasted}, 仍未恢复, 还没有人认领",
            EN: "Still so after {lasted}, and nobody has taken it",
        },
        Occasion.RESOLVED: {ZH: "历时 {lasted}", EN: "It lasted {lasted}"},
    }
)

SINCE: Final = {ZH: "开始于 {since}", EN: "Since {since}"}
MEMBERS: Final = {ZH: "盒子: {names}", EN: "Boxes: {names}"}
MORE: Final = {ZH: " 等 {count} 台", EN: " and others, {count} in all"}
EFFECTS: Final = {
    ZH: "由此引起、不再单独通知的故障: {count} 个",
    EN: "Faults that follow from it and are not told one by one: {count}",
}
RELEASE: Final = {ZH: "当时正在发布: {release}", EN: "Being released there at that time: {release}"}
